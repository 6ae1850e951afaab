package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.BatchLimits;
import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class BatchRunTest {
  private static final TopicPartition PARTITION = new TopicPartition("in", 0);
  private static final Halt NEVER =
      why -> {
        throw new AssertionError(why);
      };

  private final Watchdog watchdog = new Watchdog(new Health(), NEVER);
  private final ModelTrouble trouble = new ModelTrouble(5);
  private final List<Long> ran = new ArrayList<>();

  @AfterEach
  void close() {
    watchdog.close();
  }

  @Test
  void aBatchClosesBeforeTheRecordThatExceedsItsPredictedModelTime() {
    assertThat(run(Duration.ofMillis(800), candidates(5)).finished()).hasSize(2);
    assertThat(ran).containsExactly(0L, 1L);
  }

  @Test
  void aRecordThatIsLongerThanABatchRunsAlone() {
    assertThat(run(Duration.ofSeconds(30), candidates(3)).finished()).hasSize(1);
    assertThat(ran).containsExactly(0L);
  }

  @Test
  void whereOnlyANewProcessCanGoOnThisOneHaltsAndBlamesNoRecord() {
    List<String> halts = new ArrayList<>();
    EchoStage lost =
        new EchoStage(
            "out",
            record -> {
              throw EnvironmentException.ofProcess("CUDA is gone", new IllegalStateException());
            });
    BatchRun run = batch(Duration.ofSeconds(2), candidates(3), lost, halts::add);
    assertThatThrownBy(run::run).isInstanceOf(IllegalStateException.class);
    assertThat(halts).containsExactly("CUDA is gone");
    assertThat(trouble.inARow()).isZero();
  }

  @Test
  void whereAResultCanNotBeMadeToFitItsRecordHasFailedAndTheOthersGoThrough() {
    Stage stage =
        shrinking(
            () -> {
              throw new IllegalStateException("the result is bad");
            });
    BatchRun.Ended ended = batch(Duration.ofSeconds(2), candidates(3), stage).run();
    assertThat(ended.environment()).isEmpty();
    assertThat(ended.finished())
        .extracting(one -> WorkerCluster.text(one.results().get(0).value()))
        .containsExactly("k0", "FAILED RESULT_FAILED", "k2");
    assertThat(ended.finished())
        .extracting(one -> one.deadLetter().map(Finished.DeadLetter::code).orElse(""))
        .containsExactly("", "RESULT_FAILED", "");
    assertThat(ended.finished()).noneMatch(Finished::undecided);
  }

  @Test
  void whereMemoryRunsOutWhileAResultIsMadeToFitTheProcessHalts() {
    List<String> halts = new ArrayList<>();
    Stage stage =
        shrinking(
            () -> {
              throw new OutOfMemoryError("heap");
            });
    BatchRun run = batch(Duration.ofSeconds(2), candidates(3), stage, halts::add);
    assertThatThrownBy(run::run).hasRootCauseInstanceOf(OutOfMemoryError.class);
    assertThat(halts).containsExactly("out of memory");
  }

  /** The result of the record k1 does not fit. */
  private static EchoStage shrinking(Result.Shrink shrink) {
    return new EchoStage(
        "out",
        record -> {
          if (!WorkerCluster.text(record.key()).equals("k1")) {
            return EchoStage.written("out", record);
          }
          return new Outcome.Written(
              List.of(new Result("out", record.key(), new byte[1 << 20], List.of(), shrink)));
        });
  }

  @Test
  void memoryThatRunsOutWhileAFailureIsSaidHaltsTheProcessToo() {
    Stage stage =
        new ForwardingStage(stage(Duration.ofMillis(1), true)) {
          @Override
          public Outcome.Written failed(SourceRecord record, Failure failure) {
            throw new OutOfMemoryError("heap");
          }
        };
    BatchRun.Candidate bad = candidate(0, 0, Optional.empty());
    BatchRun.Unread tooLarge = new BatchRun.Unread(new Failure("TOO_LARGE", "too large"), 1 << 30);
    for (BatchRun.Candidate one :
        List.of(
            bad,
            candidate(0, 3, Optional.empty()),
            candidate(0, 4, Optional.empty()),
            new BatchRun.Candidate(
                PARTITION, bad.record(), 0, Optional.empty(), Optional.of(tooLarge)))) {
      List<String> halts = new ArrayList<>();
      BatchRun run = batch(Duration.ofSeconds(2), List.of(one), stage, halts::add);
      assertThatThrownBy(run::run).hasRootCauseInstanceOf(OutOfMemoryError.class);
      assertThat(halts).containsExactly("out of memory");
    }
  }

  @Test
  void recordsOfAStruckPartitionAreNotRun() {
    BatchRun run = batch(Duration.ofMillis(1), candidates(3), stage(Duration.ofMillis(1), false));
    run.strike(Set.of(PARTITION));
    assertThat(run.run().finished()).isEmpty();
    assertThat(ran).isEmpty();
  }

  @Test
  void aStoppedRunBeginsNoFurtherRecord() {
    BatchRun run = batch(Duration.ofMillis(1), candidates(3), stage(Duration.ofMillis(1), false));
    run.stop();
    assertThat(run.run().finished()).isEmpty();
  }

  @Test
  void aRecordThatWasBegunThreeTimesIsGivenUpUnread() {
    BatchRun.Ended ended = run(Duration.ofMillis(1), List.of(candidate(7, 3, Optional.empty())));
    assertThat(ran).isEmpty();
    assertThat(ended.finished().get(0).deadLetter())
        .map(Finished.DeadLetter::code)
        .hasValue("ATTEMPTS_EXHAUSTED");
  }

  /** A stage that reads what is given up, and may fail at that. */
  private static Stage reading(boolean fails) {
    return new ForwardingStage(EchoStage.echo("out")) {
      @Override
      public Outcome.Written exhausted(SourceRecord record, Failure failure) {
        if (fails) {
          throw new IllegalStateException("the value is bad");
        }
        return EchoStage.written("out", record);
      }
    };
  }

  private String givenUp(int attemptsBefore, boolean fails) {
    List<BatchRun.Candidate> one = List.of(candidate(7, attemptsBefore, Optional.empty()));
    Finished finished = batch(one, reading(fails), 0).run().finished().get(0);
    assertThat(finished.deadLetter()).isPresent();
    return WorkerCluster.text(finished.results().get(0).value());
  }

  @Test
  void aStageReadsOnceMoreWhatIsGivenUpUnlessThatIsWhatKills() {
    assertThat(givenUp(3, false)).isEqualTo("k7");
    assertThat(givenUp(3, true)).isEqualTo("FAILED ATTEMPTS_EXHAUSTED");
    assertThat(givenUp(4, false)).isEqualTo("FAILED ATTEMPTS_EXHAUSTED");
  }

  @Test
  void fourFailuresInARowWaitAndTheFifthIsTheEnvironments() {
    EchoStage broken = stage(Duration.ofMillis(1), true);
    BatchRun.Ended four = batch(Duration.ofSeconds(2), candidates(4), broken).run();
    assertThat(four.environment()).isEmpty();
    assertThat(four.finished()).hasSize(4).allMatch(Finished::undecided);
    List<BatchRun.Candidate> again = new ArrayList<>();
    four.finished()
        .forEach(one -> again.add(candidate(one.record().offset(), 0, Optional.of(one))));
    again.add(candidate(4, 0, Optional.empty()));
    BatchRun.Ended five = batch(Duration.ofSeconds(2), again, broken).run();
    assertThat(five.finished()).isEmpty();
    assertThat(five.environment()).hasValueSatisfying(why -> assertThat(why).contains("5"));
    assertThat(ran).as("what waits is not run again").containsExactly(0L, 1L, 2L, 3L, 4L);
  }

  @Test
  void aModelThatWorksAfterFailuresMakesThemBadRecords() {
    BatchRun.Ended failed =
        batch(Duration.ofSeconds(2), candidates(2), stage(Duration.ofMillis(1), true)).run();
    List<BatchRun.Candidate> again = new ArrayList<>();
    failed
        .finished()
        .forEach(one -> again.add(candidate(one.record().offset(), 0, Optional.of(one))));
    again.add(candidate(2, 0, Optional.empty()));
    BatchRun.Ended ended =
        batch(Duration.ofSeconds(2), again, stage(Duration.ofMillis(1), false)).run();
    assertThat(ended.finished()).hasSize(3).noneMatch(Finished::undecided);
    assertThat(ended.finished().get(0).deadLetter()).isPresent();
    assertThat(ended.finished().get(2).deadLetter()).isEmpty();
  }

  @Test
  void aRecordThatNeedsNoModelProvesNothing() {
    BatchRun.Ended failed =
        batch(Duration.ofSeconds(2), candidates(1), stage(Duration.ofMillis(1), true)).run();
    List<BatchRun.Candidate> again = new ArrayList<>();
    again.add(candidate(0, 0, Optional.of(failed.finished().get(0))));
    again.add(candidate(1, 0, Optional.empty()));
    BatchRun.Ended ended = batch(Duration.ofSeconds(2), again, stage(Duration.ZERO, false)).run();
    assertThat(ended.finished().get(0).undecided()).isTrue();
    assertThat(ended.finished().get(1).undecided()).isFalse();
  }

  @Test
  void aStageHearsOfAllRecordsThatComeBeforeTheFirstIsPrepared() {
    List<Long> announced = new ArrayList<>();
    List<BatchRun.Candidate> candidates = new ArrayList<>(candidates(3));
    candidates.add(candidate(3, 3, Optional.empty())); // is given up
    BatchRun.Ended ended =
        batch(candidates, records -> records.forEach(one -> announced.add(one.offset()))).run();
    assertThat(announced).containsExactly(0L, 1L, 2L);
    assertThat(ended.finished()).hasSize(4);
  }

  @Test
  void aStageThatFailsBeforeABatchStillGetsItsRecordsUnlessItIsTheEnvironment() {
    BatchRun.Ended unexpected =
        batch(
                candidates(2),
                records -> {
                  throw new IllegalStateException();
                })
            .run();
    assertThat(unexpected.environment()).isEmpty();
    assertThat(unexpected.finished()).hasSize(2);
    BatchRun.Ended environment =
        batch(
                candidates(2),
                records -> {
                  throw new EnvironmentException("the disk is away");
                })
            .run();
    assertThat(environment.environment()).hasValue("the disk is away");
    assertThat(environment.finished()).isEmpty();
  }

  /** As in the model: a class that one record needs and that is not there is no reason to stop. */
  @Test
  void aRecordWhoseReadingBreaksInAnyWayIsADeadLetterAndTheOthersGoOn() {
    for (Error error : List.of(new AssertionError("odd"), new NoClassDefFoundError("Odd"))) {
      Stage stage =
          new ForwardingStage(stage(Duration.ofMillis(1), false)) {
            @Override
            public Work prepare(SourceRecord record) {
              if (record.offset() == 1) {
                throw error;
              }
              return super.prepare(record);
            }

            @Override
            public void coming(List<SourceRecord> records) {
              throw error;
            }

            @Override
            public Outcome.Written exhausted(SourceRecord record, Failure failure) {
              throw error;
            }
          };
      List<BatchRun.Candidate> candidates = new ArrayList<>(candidates(3));
      candidates.add(candidate(3, 3, Optional.empty())); // is given up
      BatchRun.Ended ended = batch(Duration.ofSeconds(2), candidates, stage).run();
      assertThat(ended.environment()).isEmpty();
      assertThat(ended.finished())
          .extracting(one -> one.deadLetter().map(Finished.DeadLetter::code).orElse(""))
          .containsExactly("", "UNREADABLE", "", "ATTEMPTS_EXHAUSTED");
    }
  }

  @Test
  void aPartitionOnWhoseRecordTheEnvironmentFailsAgainAndAgainWaitsAndTheOthersGoOn() {
    List<BatchRun.Candidate> all = // longer than a batch: the next one is tried all the same
        List.of(candidate(0, 0, 0), candidate(0, 1, 0), candidate(1, 0, 0), candidate(1, 1, 0));
    EchoStage stage = environmentFailsOn(Set.of("k0-0"));
    for (int round = 1; round < ModelTrouble.BEFORE_OTHERS; round++) {
      BatchRun.Ended ended = batch(Duration.ofNanos(1), all, stage).run();
      assertThat(ended.environment()).hasValue("away");
      assertThat(ended.finished()).isEmpty();
      assertThat(ended.waiting()).isEmpty();
    }
    BatchRun.Ended ended = batch(Duration.ofNanos(1), all, stage).run();
    assertThat(ended.environment()).isEmpty();
    assertThat(ended.waiting())
        .containsExactly(
            Map.entry(
                new TopicPartition("in", 0), new BatchRun.Wait("away", /* reading= */ false)));
    assertThat(ended.finished())
        .singleElement()
        .matches(one -> one.record().partition() == 1 && one.record().offset() == 0);
  }

  @Test
  void aRecordIsGivenUpOnceTheEnvironmentHasFailedOnItForLongWhileOthersWentThrough() {
    List<BatchRun.Candidate> both = List.of(candidate(0, 0, 0), candidate(1, 0, 0));
    EchoStage stage = environmentFailsOn(Set.of("k0-0"));
    for (int round = 0; round < 50; round++) {
      assertThat(batch(both, stage, 0).run().finished()).noneMatch(one -> deadLetter(one, 0));
    }
    BatchRun.Ended late = batch(both, stage, ModelTrouble.AT_LEAST.toNanos()).run();
    assertThat(late.waiting()).isEmpty();
    assertThat(late.finished())
        .filteredOn(one -> one.record().partition() == 0)
        .singleElement()
        .satisfies(
            one -> {
              assertThat(one.undecided()).isFalse();
              assertThat(one.deadLetter().orElseThrow().code()).isEqualTo("ENVIRONMENT_FAILED");
            });
  }

  @Test
  void whereTheEnvironmentFailsOnEverythingNothingIsGivenUpHoweverLongItLasts() {
    List<BatchRun.Candidate> all = List.of(candidate(0, 0, 0), candidate(1, 0, 0));
    EchoStage stage = environmentFailsOn(Set.of("k0-0", "k1-0"));
    for (int round = 0; round < 50; round++) {
      long later = round * ModelTrouble.AT_LEAST.toNanos();
      assertThat(batch(all, stage, later).run().finished()).isEmpty();
    }
  }

  @Test
  void inAnOutageNothingIsGivenUpForWhatHappenedBeforeIt() {
    List<BatchRun.Candidate> both = List.of(candidate(0, 0, 0), candidate(1, 0, 0));
    for (int round = 0; round < 50; round++) {
      var unused = batch(both, environmentFailsOn(Set.of("k0-0")), 0).run();
    }
    EchoStage down = environmentFailsOn(Set.of("k0-0", "k1-0"));
    assertThat(batch(both, down, 0).run().finished()).isEmpty();
    for (int round = 0; round < 50; round++) {
      assertThat(batch(both, down, ModelTrouble.AT_LEAST.toNanos()).run().finished()).isEmpty();
    }
  }

  @Test
  void whereNoOtherPartitionHasARecordTheNextOneShowsThatTheModelWorksAndIsNotKept() {
    List<BatchRun.Candidate> one =
        List.of(candidate(0, 0, 0), candidate(0, 1, 0), candidate(0, 2, 0));
    EchoStage stage = environmentFailsOn(Set.of("k0-0"));
    for (int round = 0; round < 50; round++) {
      assertThat(batch(one, stage, 0).run().finished()).isEmpty();
    }
    ran.clear();
    BatchRun.Ended late = batch(one, stage, ModelTrouble.AT_LEAST.toNanos()).run();
    assertThat(late.finished()).first().matches(done -> deadLetter(done, 0));
    assertThat(late.finished())
        .extracting(done -> done.record().offset())
        .isEqualTo(List.copyOf(ran))
        .startsWith(0L);
  }

  @Test
  void aPartitionWhoseRecordCanNotBeReadAgainAndAgainWaitsAndNothingIsEverHeldAgainstTheRecord() {
    Stage refused = unreadable(record -> record.partition() == 0);
    List<BatchRun.Candidate> all =
        List.of(candidate(0, 0, 0), candidate(0, 1, 0), candidate(1, 0, 0), candidate(1, 1, 0));
    for (int round = 1; round < ModelTrouble.BEFORE_OTHERS; round++) {
      BatchRun.Ended ended = batch(all, refused, 0).run();
      assertThat(ended.environment()).hasValue("no schema");
      assertThat(ended.finished()).isEmpty();
      assertThat(ended.waiting()).isEmpty();
    }
    for (int round = 0; round < 50; round++) {
      BatchRun.Ended ended = batch(all, refused, round * ModelTrouble.AT_LEAST.toNanos()).run();
      assertThat(ended.environment()).isEmpty();
      assertThat(ended.waiting())
          .containsExactly(
              Map.entry(
                  new TopicPartition("in", 0),
                  new BatchRun.Wait("no schema", /* reading= */ true)));
      assertThat(ended.finished())
          .hasSize(2)
          .allMatch(one -> one.record().partition() == 1 && one.deadLetter().isEmpty());
    }
  }

  @Test
  void whatWasDoneOfThePartitionBeforeThatRecordIsKeptAndNothingBehindItIsRun() {
    Stage refused = unreadable(record -> record.offset() == 1);
    List<BatchRun.Candidate> one =
        List.of(candidate(0, 0, 0), candidate(0, 1, 0), candidate(0, 2, 0));
    for (int round = 1; round < ModelTrouble.BEFORE_OTHERS; round++) {
      assertThat(batch(one, refused, 0).run().environment()).isPresent();
    }
    ran.clear();
    BatchRun.Ended ended = batch(one, refused, 0).run();
    assertThat(ended.environment()).isEmpty();
    assertThat(ended.waiting()).containsOnlyKeys(new TopicPartition("in", 0));
    assertThat(ended.finished()).extracting(done -> done.record().offset()).containsExactly(0L);
    assertThat(ran).as("the next one would show nothing that is asked").containsExactly(0L);
  }

  @Test
  void aRecordThatIsReadInTheEndCountsFromTheBeginningAgain() {
    List<BatchRun.Candidate> one = List.of(candidate(0, 0, 0));
    for (int round = 0; round < 2 * ModelTrouble.BEFORE_OTHERS; round++) {
      boolean readable = round % 2 == 1;
      BatchRun.Ended ended = batch(one, unreadable(record -> !readable), 0).run();
      assertThat(ended.environment().isEmpty()).isEqualTo(readable);
      assertThat(ended.waiting()).isEmpty();
    }
  }

  @Test
  void whatIsGivenUpAndCanNotBeReadOnceMoreWaitsTheSameWay() {
    Stage refused =
        new ForwardingStage(stage(Duration.ofMillis(1), false)) {
          @Override
          public Outcome.Written exhausted(SourceRecord record, Failure failure) {
            throw new EnvironmentException("no schema");
          }
        };
    List<BatchRun.Candidate> both = List.of(candidate(0, 0, 3), candidate(1, 0, 0));
    for (int round = 1; round < ModelTrouble.BEFORE_OTHERS; round++) {
      assertThat(batch(both, refused, 0).run().environment()).hasValue("no schema");
    }
    BatchRun.Ended ended = batch(both, refused, 0).run();
    assertThat(ended.waiting()).containsOnlyKeys(new TopicPartition("in", 0));
    assertThat(ended.finished()).singleElement().matches(one -> one.record().partition() == 1);
  }

  /** One whose registry does not give the schemas of some records. */
  private Stage unreadable(Predicate<SourceRecord> which) {
    return new ForwardingStage(stage(Duration.ofMillis(1), false)) {
      @Override
      public Work prepare(SourceRecord record) {
        if (which.test(record)) {
          throw new EnvironmentException("no schema");
        }
        return super.prepare(record);
      }
    };
  }

  /** Else it is committed, and the one before it with it. */
  @Test
  void whatIsGivenUpUnreadWaitsForTheRecordBeforeItLikeAnyOther() {
    BatchRun.Candidate second = candidate(0, 1, 0);
    BatchRun.Unread tooLarge = new BatchRun.Unread(new Failure("TOO_LARGE", "too large"), 1 << 30);
    List<BatchRun.Candidate> both =
        List.of(
            candidate(0, 0, 0),
            new BatchRun.Candidate(
                second.partition(), second.record(), 0, Optional.empty(), Optional.of(tooLarge)));
    EchoStage stage = environmentFailsOn(Set.of("k0-0"));
    for (int round = 0; round < 50; round++) {
      assertThat(batch(both, stage, 0).run().finished()).isEmpty();
    }
  }

  private static boolean deadLetter(Finished one, int partition) {
    return one.record().partition() == partition && one.deadLetter().isPresent();
  }

  private BatchRun batch(List<BatchRun.Candidate> candidates, Stage stage, long now) {
    return new BatchRun(
        stage,
        new Finisher(stage, "dlq", new RecordSizes(Map.of("out", 1 << 20, "dlq", 1 << 20))),
        trouble,
        watchdog,
        NEVER,
        new BatchLimits(64, 1 << 20, Duration.ofSeconds(2)),
        WorkerCluster.QUICK,
        candidates,
        () -> now);
  }

  private EchoStage environmentFailsOn(Set<String> keys) {
    return new EchoStage(
        "out",
        record -> {
          ran.add(record.offset());
          if (keys.contains(WorkerCluster.text(record.key()))) {
            throw EnvironmentException.ofScorer("away", new IllegalStateException());
          }
          return EchoStage.written("out", record);
        });
  }

  private static BatchRun.Candidate candidate(int partition, long offset, int attempts) {
    byte[] bytes = WorkerCluster.bytes("k" + partition + "-" + offset);
    return new BatchRun.Candidate(
        new TopicPartition("in", partition),
        new SourceRecord("in", partition, offset, 0, bytes, bytes, List.of()),
        attempts,
        Optional.empty());
  }

  private BatchRun batch(
      List<BatchRun.Candidate> candidates, Consumer<List<SourceRecord>> announced) {
    Stage stage =
        new ForwardingStage(stage(Duration.ofMillis(1), false)) {
          @Override
          public void coming(List<SourceRecord> records) {
            announced.accept(records);
          }
        };
    return batch(Duration.ofSeconds(2), candidates, stage);
  }

  private BatchRun.Ended run(Duration predicted, List<BatchRun.Candidate> candidates) {
    return batch(Duration.ofSeconds(2), candidates, stage(predicted, false)).run();
  }

  private BatchRun batch(Duration modelTime, List<BatchRun.Candidate> candidates, Stage stage) {
    return batch(modelTime, candidates, stage, NEVER);
  }

  private BatchRun batch(
      Duration modelTime, List<BatchRun.Candidate> candidates, Stage stage, Halt halt) {
    return new BatchRun(
        stage,
        new Finisher(stage, "dlq", new RecordSizes(Map.of("out", 1 << 20, "dlq", 1 << 20))),
        trouble,
        watchdog,
        halt,
        new BatchLimits(64, 1 << 20, modelTime),
        WorkerCluster.QUICK,
        candidates);
  }

  private EchoStage stage(Duration predicted, boolean broken) {
    return new EchoStage(
        "out",
        predicted,
        record -> {
          ran.add(record.offset());
          if (broken) {
            throw new IllegalStateException();
          }
          return EchoStage.written("out", record);
        });
  }

  private static List<BatchRun.Candidate> candidates(int count) {
    return IntStream.range(0, count).mapToObj(i -> candidate(i, 0, Optional.empty())).toList();
  }

  private static BatchRun.Candidate candidate(
      long offset, int attempts, Optional<Finished> finished) {
    byte[] bytes = WorkerCluster.bytes("k" + offset);
    return new BatchRun.Candidate(
        PARTITION,
        new SourceRecord("in", 0, offset, 0, bytes, bytes, List.of()),
        attempts,
        finished);
  }
}
