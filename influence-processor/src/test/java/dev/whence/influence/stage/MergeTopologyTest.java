package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.MissingShard;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.test.TestRecord;
import org.junit.jupiter.api.Test;

/** The merger: what it waits for, and what it says. */
class MergeTopologyTest extends DrivenMerge {
  @Test
  void whenAllShardsHaveAnsweredTheBestOfBothSignsComeOutAtOnceAndOnce() {
    pipe(opening(8));
    for (int shard = 1; shard < 8; shard++) {
      pipe(answer(shard));
      assertThat(influences.isEmpty()).isTrue();
    }
    pipe(answer(8));
    assertThat(influences.getQueueSize()).isEqualTo(1);
    TestRecord<String, Influence> record = influences.readRecord();
    assertThat(record.key()).isEqualTo("r");
    assertThat(new String(record.headers().lastHeader("ce_type").value(), StandardCharsets.UTF_8))
        .isEqualTo("dev.whence.Influence.v1");
    assertThat(record.headers().lastHeader("traceparent")).isNotNull();
    Influence influence = record.value();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(influence.getReasonCode()).isEmpty();
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getInfluence)
        .containsExactly(8.0, 7.0, -8.0, -7.0);
    InfluenceCoverage coverage = influence.getCoverage();
    assertThat(coverage.getShare()).isEqualTo(1);
    assertThat(coverage.getShardsAnswered()).isEqualTo(8);
    assertThat(coverage.getDocuments()).isEqualTo(80);
    assertThat(coverage.getDocumentsScanned()).isEqualTo(80);
    assertThat(coverage.getMissing()).isEmpty();
    assertThat(influence.getCost().getTokens()).isEqualTo(830);
    assertThat(influence.getCost().getDocumentsReranked()).isEqualTo(16);
    assertThat(influence.getCost().getSeconds()).isEqualTo(2.5);
    advance(DEADLINE.multipliedBy(2));
    assertThat(influences.isEmpty()).isTrue();
  }

  @Test
  void aShardCountsOnceHoweverOftenItAnswers() {
    pipe(opening(2));
    pipe(answer(1));
    pipe(answer(1));
    pipe(opening(2));
    assertThat(influences.isEmpty()).isTrue();
    pipe(answer(1, 2)); // of which shard 2 is new
    Influence influence = only();
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(20);
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getInfluence)
        .containsExactly(2.0, 1.0, -2.0, -1.0);
    assertThat(ignored("duplicate")).isEqualTo(1);
    assertThat(ignored("asked_again")).isEqualTo(1);
  }

  @Test
  void askedAgainWhileItIsOpenAQuestionWaitsForTheLaterDeadlineAndHasOneResult() {
    Duration later = DEADLINE.multipliedBy(2);
    pipe(opening(3));
    pipe(answer(1));
    pipe(opening(3, later));
    assertThat(ignored("asked_again")).isZero();
    pipe(opening(3));
    assertThat(ignored("asked_again")).isEqualTo(1);
    advance(DEADLINE.plusSeconds(3));
    assertThat(influences.isEmpty()).isTrue();
    pipe(answer(2));
    advance(Duration.ofSeconds(3));
    Influence influence = only();
    assertThat(influence.getCoverage().getShare()).isEqualTo(2 / 3.0);
    pipe(answer(3));
    advance(later);
    assertThat(influences.isEmpty()).isTrue();
  }

  @Test
  void askedAgainWhileItIsOpenAQuestionIsStillClosedAtOnceWhenAllShardsHaveAnswered() {
    pipe(opening(2));
    pipe(answer(1));
    pipe(opening(2, DEADLINE.multipliedBy(2)));
    advance(DEADLINE.plusSeconds(3));
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    advance(DEADLINE.multipliedBy(2));
    assertThat(influences.isEmpty()).isTrue();
  }

  /** As by who asks every half minute until there is a result, while a shard is dead. */
  @Test
  void aQuestionThatIsAskedAgainAndAgainHasAResultAllTheSame() {
    Duration pause = Duration.ofSeconds(30);
    pipe(opening(2));
    Duration passed = Duration.ZERO;
    while (influences.isEmpty() && passed.compareTo(Duration.ofHours(2)) < 0) {
      partials.pipeInput("q", opening(2, passed.plus(pause.multipliedBy(2))), START.plus(passed));
      driver.advanceWallClockTime(pause);
      passed = passed.plus(pause);
    }
    assertThat(only().getReasonCode()).isEqualTo("NO_SHARD_ANSWERED");
    assertThat(passed)
        .isBetween(
            AskedQuery.LATEST_DEADLINE, AskedQuery.LATEST_DEADLINE.plus(pause.multipliedBy(2)));
  }

  /** However long ago answers came that waited for it, and however late a deadline it names. */
  @Test
  void aQuestionIsOpenForTheLongestDeadlineFromWhenItWasOpenedAndNoLonger() {
    Instant opened = START.plus(Duration.ofHours(2));
    InfluenceMerge waiting = InfluenceMerge.newBuilder(keptWithOneOfThree()).setOpen(null).build();
    Successor merger = new Successor(waiting, opened);
    merger.process("q", opening(3, Duration.ofHours(9)), opened);
    Instant latest = opened.plus(AskedQuery.LATEST_DEADLINE);
    assertThat(merger.kept().getOpen().getDeadline()).isEqualTo(latest);
    merger.process("q", opening(3, Duration.ofHours(12)), opened.plusSeconds(1));
    assertThat(merger.kept().getOpen().getDeadline()).isEqualTo(latest);
    merger.lookAt(latest.minusSeconds(5));
    merger.lookUntil(latest.minusMillis(1));
    assertThat(merger.results()).isEmpty();
    merger.lookUntil(latest);
    assertThat(merger.results()).hasSize(1);
    assertThat(merger.results().get(0).getCoverage().getShare()).isEqualTo(1 / 3.0);
  }

  @Test
  void answersAfterTheDeadlineAreOnlyCountedAndTheResultSaysSevenOfEight() {
    pipe(opening(8));
    IntStream.rangeClosed(1, 7).forEach(shard -> pipe(answer(shard)));
    advance(DEADLINE.minusMillis(100));
    assertThat(influences.isEmpty()).isTrue();
    advance(Duration.ofMillis(150));
    Influence influence = only();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(influence.getReasonCode()).isEqualTo("SHARDS_MISSING");
    assertThat(influence.getCoverage().getShare()).isEqualTo(7 / 8.0);
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(70);
    assertThat(influence.getCoverage().getMissing())
        .containsExactly(
            MissingShard.newBuilder()
                .setShard(8)
                .setReason("It did not answer before the deadline.")
                .build());
    pipe(answer(8));
    assertThat(influences.isEmpty()).isTrue();
    assertThat(ignored("late")).isEqualTo(1);
  }

  @Test
  void aShardThatIsMissingIsNotWaitedForAndTheResultSaysWhy() {
    pipe(opening(8));
    pipe(missing(3, "cut short"));
    for (int shard : new int[] {1, 2, 4, 5, 6, 7, 8}) {
      pipe(answer(shard));
    }
    Influence influence = only();
    assertThat(influence.getCoverage().getShare()).isEqualTo(7 / 8.0);
    assertThat(influence.getCoverage().getMissing())
        .containsExactly(MissingShard.newBuilder().setShard(3).setReason("cut short").build());
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getShard)
        .doesNotContain(3);
  }

  @Test
  void aShardThatWasMissingCountsWhenAnotherProcessHasScannedIt() {
    pipe(opening(2));
    pipe(missing(1, "not here"));
    pipe(answer(1));
    pipe(missing(1, "not here"));
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void aResultSaysWhetherSomeOrAllOfItsDocumentsHaveEstimatesOnly() {
    pipe(opening(2));
    pipe(InfluencePartial.newBuilder(answer(1)).setNote("no time for the rest").build());
    pipe(answer(2));
    Influence partly = only();
    assertThat(partly.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(partly.getReasonCode()).isEqualTo("PARTLY_RANKED");
    assertThat(partly.getReason()).isEqualTo("no time for the rest");

    // and it may be asked again at once
    pipe(opening(1));
    pipe(
        InfluencePartial.newBuilder(answer(1))
            .setDocumentsReranked(0)
            .setNote("no model here")
            .build());
    assertThat(only().getReasonCode()).isEqualTo("ESTIMATES_ONLY");

    pipe(opening(2));
    pipe(missing(1, "not here"));
    pipe(InfluencePartial.newBuilder(answer(2)).setNote("no model here").build());
    Influence missing = only();
    assertThat(missing.getReasonCode()).isEqualTo("SHARDS_MISSING");
    assertThat(missing.getReason())
        .isEqualTo("1 of the 2 shards of the index were not scanned. no model here");
  }

  @Test
  void whenNoShardAnswersThereIsAResultWithCoverageZero() {
    pipe(opening(8));
    advance(DEADLINE.plusMillis(50));
    Influence influence = only();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.FAILED);
    assertThat(influence.getReasonCode()).isEqualTo("NO_SHARD_ANSWERED");
    assertThat(influence.getCoverage().getShare()).isZero();
    assertThat(influence.getCoverage().getMissing()).hasSize(8);
    assertThat(influence.getDocuments()).isEmpty();
    assertThat(influence.getCost().getTokens()).isEqualTo(30);
  }

  @Test
  void anAnswerThatComesBeforeItsQuestionWaitsForIt() {
    pipe(answer(1));
    pipe(opening(2));
    assertThat(influences.isEmpty()).isTrue();
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void answersThatNobodyAskedForAreForgottenAfterTenMinutes() {
    pipe(answer(1));
    advance(Duration.ofMinutes(11));
    assertThat(influences.isEmpty()).isTrue();
    assertThat(ignored("never_asked")).isEqualTo(1);
    assertThat(driver.getKeyValueStore(MergeTopology.OPEN_STORE).all().hasNext()).isFalse();
  }

  @Test
  void aCompleteResultIsNotComputedAgainForTenMinutesAndAnIncompleteOneIs() {
    pipe(opening(1));
    pipe(answer(1));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    pipe(opening(1));
    pipe(answer(1));
    assertThat(influences.isEmpty()).isTrue();
    advance(MergeProcessor.CLOSED_FOR.plusSeconds(11));
    assertThat(driver.getKeyValueStore(MergeTopology.CLOSED_STORE).all().hasNext()).isFalse();

    pipe(opening(2)); // its deadline has passed long ago
    advance(MergeProcessor.SILENT_FOR);
    assertThat(only().getCoverage().getShare()).isZero();
    pipe(opening(2));
    pipe(answer(1));
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void aRecordThatCanNotBeReadGoesToTheDeadLetterQueueAndTheOthersGoOn() {
    TestInputTopic<String, byte[]> raw =
        driver.createInputTopic(
            topics.influencePartials().name(),
            new StringSerializer(),
            Serdes.ByteArray().serializer());
    pipe(opening(1));
    raw.pipeInput("q", new byte[] {(byte) 0xff, 1});
    pipe(answer(1));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    TestOutputTopic<String, byte[]> dead =
        driver.createOutputTopic(
            DEAD, Serdes.String().deserializer(), Serdes.ByteArray().deserializer());
    TestRecord<String, byte[]> letter = dead.readRecord();
    assertThat(letter.value()).containsExactly(0xff, 1);
    Map<String, String> expected =
        Map.of(
            "whence.error.code", "NOT_AVRO",
            "whence.error.topic", topics.influencePartials().name(),
            "whence.error.stage", "influence-merge");
    expected.forEach(
        (name, value) ->
            assertThat(
                    new String(letter.headers().lastHeader(name).value(), StandardCharsets.UTF_8))
                .isEqualTo(value));
  }

  /** What a successor finds: the store, and nothing that was in memory beside it. */
  @Test
  void aRestartInBetweenKeepsAnswersAndDeadline() {
    InfluenceMerge kept =
        InfluenceMerge.newBuilder()
            .setQueryId("q")
            .setSince(START)
            .setOpen(opening(3).getOpen())
            .setAnswers(List.of(answer(1)))
            .build();

    Successor first = new Successor(kept);
    first.processor.process(new Record<>("q", answer(2), 0));
    assertThat(first.context.forwarded()).isEmpty();
    first.processor.process(new Record<>("q", answer(3), 0));
    assertThat(first.results()).hasSize(1);
    assertThat(first.results().get(0).getCoverage().getShare()).isEqualTo(1);

    Successor second = new Successor(kept);
    second.lookUntil(START.plus(DEADLINE).minusMillis(1));
    assertThat(second.results()).isEmpty();
    second.lookUntil(START.plus(DEADLINE));
    assertThat(second.results()).hasSize(1);
    assertThat(second.results().get(0).getCoverage().getShare()).isEqualTo(1 / 3.0);
  }

  @Test
  void aRestartInBetweenKeepsTheLaterDeadline() {
    Successor merger = new Successor(keptWithOneOfThree());
    merger.process("q", opening(3, DEADLINE.multipliedBy(2)), START);
    Successor next = new Successor(merger.kept());
    next.lookUntil(START.plus(DEADLINE.multipliedBy(2)).minusMillis(1));
    assertThat(next.results()).isEmpty();
    next.lookUntil(START.plus(DEADLINE.multipliedBy(2)));
    assertThat(next.results()).hasSize(1);
  }

  @Test
  void afterAnOutageAnswersThatLieInTheTopicAreReadBeforeTheDeadlineCounts() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor reading = new Successor(keptWithOneOfThree(), after);
    reading.lookUntil(after.plusMillis(500));
    assertThat(reading.results()).isEmpty();
    reading.process("q", answer(2), START.plusSeconds(1));
    reading.lookUntil(after.plusMillis(2000));
    assertThat(reading.results()).isEmpty();
    reading.process("q", answer(3), START.plusSeconds(2));
    assertThat(reading.results()).hasSize(1);
    assertThat(reading.results().get(0).getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void afterAnOutageAnswersAreReadUpToTheLaterDeadlineOfAQuestionThatWasAskedAgain() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor reading = new Successor(keptWithOneOfThree(), after);
    reading.process("q", opening(3, DEADLINE.multipliedBy(2)), START.plusSeconds(1));
    reading.process("other", answer(1), START.plus(DEADLINE).plusSeconds(1));
    reading.lookUntil(after.plusMillis(500));
    assertThat(reading.results()).isEmpty();
    reading.process("q", answer(2, 3), START.plus(DEADLINE).plusSeconds(2));
    assertThat(reading.results()).hasSize(1);
    assertThat(reading.results().get(0).getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void afterAnOutageTheDeadlineCountsOnceALaterRecordWasReadOrNothingComes() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor silent = new Successor(keptWithOneOfThree(), after);
    silent.lookUntil(after.plus(MergeProcessor.SILENT_FOR).minusMillis(100));
    assertThat(silent.results()).isEmpty();
    silent.lookUntil(after.plus(MergeProcessor.SILENT_FOR).plusMillis(50));
    assertThat(silent.results()).hasSize(1);
    assertThat(silent.results().get(0).getCoverage().getShare()).isEqualTo(1 / 3.0);

    Successor later = new Successor(keptWithOneOfThree(), after);
    later.process("other", answer(1), START.plus(DEADLINE).plusMillis(1));
    later.lookUntil(after.plusMillis(50));
    assertThat(later.results()).hasSize(1);
  }

  /** As after a commit that failed: the same processor, what was not committed is read again. */
  @Test
  void aTaskThatIsBegunAgainReadsWhatWasWrittenBeforeTheDeadlineAgainBeforeItCounts() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor merger = new Successor(keptWithOneOfThree(), after);
    merger.process("q", answer(2), START.plusSeconds(1));
    merger.process("other", answer(1), START.plus(DEADLINE).plusMillis(1));
    merger.begin(List.of(keptWithOneOfThree()), after);
    assertThat(merger.scheduled()).hasSize(2);
    merger.lookUntil(after.plusMillis(500));
    assertThat(merger.results()).isEmpty();
    merger.process("q", answer(2), START.plusSeconds(1));
    merger.process("q", answer(3), START.plusSeconds(2));
    assertThat(merger.results()).hasSize(1);
    assertThat(merger.results().get(0).getCoverage().getShare()).isEqualTo(1);
  }

  /** As a virtual machine does that was paused: brokers went on, and the wall clock, too. */
  @Test
  void whoWasAwayFirstHearsWhatWasSaidMeanwhile() {
    Successor paused = new Successor(keptWithOneOfThree(), START);
    paused.lookUntil(START.plusMillis(100));
    Instant back = START.plus(Duration.ofMinutes(1));
    paused.lookAt(back);
    assertThat(paused.results()).isEmpty();
    paused.lookUntil(back.plus(MergeProcessor.SILENT_FOR));
    assertThat(paused.results()).hasSize(1);
  }
}
