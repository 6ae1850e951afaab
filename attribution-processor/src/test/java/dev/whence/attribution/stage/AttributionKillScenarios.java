package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.attribution.stage.BrokerGate.Stop;
import dev.whence.attribution.stage.BrokerGate.Way;
import dev.whence.attribution.stage.FaultRun.Transaction;
import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.Halt;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.ApiKeys;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What happens to the real attribution processor, with a real model, when processes, members and
 * the broker go, at the size that the caller chooses. Where a fault hits is made sure at the gate
 * and then shown by what the broker says; a fault that hit elsewhere does not count.
 *
 * <pre>
 * what a processor says to the broker, once a batch:
 *   OffsetCommit      "begun"    -> IN_THE_MODEL, from the answer on
 *   Produce           results    -> INSIDE_THE_TRANSACTION: written, the answer is held
 *   TxnOffsetCommit   offsets
 *   EndTxn            commit     -> BETWEEN_SEND_AND_COMMIT: held; COMMITTED_BUT_NOT_TOLD: its answer is
 * </pre>
 */
final class AttributionKillScenarios {
  private static final Logger LOG = LoggerFactory.getLogger(AttributionKillScenarios.class);

  /** Where a process is killed: after what it has said last. */
  enum At {
    IN_THE_MODEL(ApiKeys.OFFSET_COMMIT, Way.RESPONSE),
    INSIDE_THE_TRANSACTION(ApiKeys.PRODUCE, Way.RESPONSE),
    BETWEEN_SEND_AND_COMMIT(ApiKeys.END_TXN, Way.REQUEST),
    COMMITTED_BUT_NOT_TOLD(ApiKeys.END_TXN, Way.RESPONSE);

    final ApiKeys api;
    final Way way;

    At(ApiKeys api, Way way) {
      this.api = api;
      this.way = way;
    }

    /** Whether this is what there is at the broker of a process that stands here. */
    boolean leaves(Transaction left) {
      return switch (this) {
        case IN_THE_MODEL -> left == Transaction.NONE || left == Transaction.COMMITTED;
        // With its offsets or without: the producer sends them beside the results.
        case INSIDE_THE_TRANSACTION ->
            left == Transaction.RESULTS_WRITTEN || left == Transaction.OFFSETS_WRITTEN;
        case BETWEEN_SEND_AND_COMMIT -> left == Transaction.OFFSETS_WRITTEN;
        case COMMITTED_BUT_NOT_TOLD -> left == Transaction.COMMITTED;
      };
    }
  }

  private static final String A = "a";
  private static final String B = "b";

  /** More than any answer in the sample world has; one that is said half as often has as many. */
  private static final int HANGING_TOKENS = 64;

  /** Long for one response of the sample world, also on a busy machine. */
  private static final int HANG_MILLIS = 6000;

  /** So many results are compared with those of an undisturbed run. */
  private static final int COMPARED = 20;

  private AttributionKillScenarios() {}

  /**
   * Killed at each place in turn, so often; each time a new process takes over.
   *
   * @return how often a kill hit where it was meant to; who was missed is tried again, as often as
   *     there are rounds
   */
  static Map<At, Integer> killedAtEachPlace(
      GroupProtocol protocol, int responses, int rounds, Path directory) throws Exception {
    Random random = new Random(responses);
    Map<At, Integer> hits = new EnumMap<>(At.class);
    int spare = rounds;
    int portion = responses / (rounds * At.values().length + spare + 1);
    Map<String, String> settings =
        Map.of("batch.max-records", Integer.toString(Math.min(8, Math.max(4, portion / 3))));
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Process process = run.start(A, settings);
      run.send(portion);
      run.awaitDone(1);
      for (int round = 0; round < rounds; round++) {
        for (At at : At.values()) {
          boolean again;
          do {
            run.send(portion);
            Stop stop = run.stop(A, at.api, at.way, random.nextInt(2));
            boolean hit = killed(run, Role.FAST, A, process, at, stop, random);
            hits.merge(at, hit ? 1 : 0, Integer::sum);
            again = !hit && spare-- > 0;
            Map<TopicPartition, Long> begun = run.begun();
            process = run.start(A, settings);
            // A record that saw three processes die is given up, rightly: nobody dies on these
            // again.
            run.awaitDone(begun);
          } while (again);
        }
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(process);
      run.assertEachScoredOnce(Math.max(1, responses / COMPARED));
    }
    LOG.info("{} responses, {}: killed {}", responses, protocol, hits);
    return hits;
  }

  /**
   * Kills an instance once it has come to a place.
   *
   * @param stop of what is said there, on its way
   * @return whether it was hit there, as the broker has it
   */
  static boolean killed(
      FaultRun run, Role role, String instance, Process process, At at, Stop stop, Random random)
      throws InterruptedException {
    assertThat(stop.isReachedWithin(FaultRun.LONGEST)).as("%s of %s is reached", at, role).isTrue();
    int produced = run.passed(instance, ApiKeys.PRODUCE, Way.REQUEST);
    int ended = run.passed(instance, ApiKeys.END_TXN, Way.REQUEST);
    if (at == At.IN_THE_MODEL) {
      stop.release();
      LockSupport.parkNanos(Duration.ofMillis(random.nextInt(10)).toNanos());
    }
    run.kill(process);
    stop.drop();
    boolean said =
        switch (at) {
          // That it begins, and nothing since.
          case IN_THE_MODEL -> produced == run.passed(instance, ApiKeys.PRODUCE, Way.REQUEST);
          case INSIDE_THE_TRANSACTION ->
              ended == run.passed(instance, ApiKeys.END_TXN, Way.REQUEST);
          case BETWEEN_SEND_AND_COMMIT, COMMITTED_BUT_NOT_TOLD -> true;
        };
    boolean left = at.leaves(run.transaction(instance));
    // What a batch had begun and not run may still be begun after its commit.
    boolean begun = at == At.COMMITTED_BUT_NOT_TOLD || !run.begun(role).isEmpty();
    return said && left && begun;
  }

  /**
   * One response of many makes the model hang: the watchdog halts each process that meets it, until
   * it is given up; the others are done.
   */
  static void aRecordHangs(GroupProtocol protocol, int responses, Path directory) throws Exception {
    Map<String, String> settings =
        Map.of(
            ProcessorProcess.HANG_AT,
            Integer.toString(HANGING_TOKENS),
            "hang.at-least",
            HANG_MILLIS + "ms",
            "hang.factor",
            "2"); // of what a busy machine predicts, which is long
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Conversation hanging = run.longWinded("hanging", HANGING_TOKENS / 2);
      run.send(responses / 2);
      run.sendBesides(hanging);
      run.sendRest();
      for (int halts = 0; halts < 3; halts++) {
        run.awaitExit(run.start(A, settings), Halt.STATUS);
      }
      assertThat(
              Pattern.compile("model work on (\\S+) did not end within \\d+ ms; the process halts")
                  .matcher(run.log(A))
                  .results()
                  .map(halt -> halt.group(1)))
          .as("the watchdog says which record it is")
          .hasSize(3)
          .containsOnly(run.place(hanging));
      Process last = run.start(A, settings);
      run.awaitAllDone();
      run.terminate(last);
      run.assertGivenUp(hanging.responseId(), "ATTEMPTS_EXHAUSTED");
    }
  }

  /** The broker goes and comes back at each place; the same process goes on. */
  static void brokerRestarts(GroupProtocol protocol, int responses, Path directory)
      throws Exception {
    List<At> places = Arrays.asList(At.values());
    int portion = responses / (places.size() + 1);
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Process process =
          run.start(A, Map.of("batch.max-records", Integer.toString(Math.max(2, portion / 4))));
      run.send(portion);
      run.awaitDone(1);
      for (At at : places) {
        run.send(portion);
        Stop stop = run.stop(A, at.api, at.way, 0);
        assertThat(stop.isReachedWithin(FaultRun.LONGEST)).as("%s is reached", at).isTrue();
        if (at == At.IN_THE_MODEL) {
          stop.release();
        }
        assertThat(run.transaction(A)).as("%s: the transaction", at).matches(at::leaves);
        run.restartBroker();
        stop.drop();
        run.awaitAllDone();
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(process);
      run.assertEachScoredOnce(Math.max(1, responses / COMPARED));
    }
    LOG.info("{} responses, {}: the broker restarted at {}", responses, protocol, places);
  }

  /**
   * A first member holds a batch in its model; a second one joins meanwhile, is given partitions of
   * that batch, commits records of them, and leaves. By turns it leaves in the middle of a batch of
   * its own after the first has gone on, or before: then its partitions come back to the first
   * within the same batch.
   */
  static void membersComeAndGo(GroupProtocol protocol, int responses, int rounds, Path directory)
      throws Exception {
    int portion = responses / (4 * rounds);
    int besides = 2 * rounds; // so many batches may hold nothing of what the second one gets
    Path hold = directory.resolve("hold");
    Map<String, String> first =
        Map.of(
            "batch.max-records",
            "256",
            "hang.at-least",
            "10m",
            ProcessorProcess.HOLD,
            hold.toString());
    Map<String, String> second = Map.of("batch.max-records", "4");
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Process a = run.start(A, first);
      run.send(1);
      run.awaitAllDone();
      for (int round = 0; round < rounds; ) {
        boolean comesBack = round % 2 == 1;
        // Else its batch may be of partitions alone that it keeps when the second one joins.
        await()
            .atMost(FaultRun.LONGEST)
            .until(() -> run.assigned().equals(List.of(run.partitions())));
        Files.createFile(hold);
        Stop begins = run.stop(A, ApiKeys.OFFSET_COMMIT, Way.RESPONSE, 0);
        run.sendAtOnce(A, portion);
        assertThat(begins.isReachedWithin(FaultRun.LONGEST)).as("the batch begins").isTrue();
        begins.release();
        Map<TopicPartition, Long> begun = run.begun();
        int produced = run.passed(A, ApiKeys.PRODUCE, Way.REQUEST);
        Process b = run.start(B, second);
        run.awaitAlive(() -> !run.assignedTo(B).isEmpty());
        if (Collections.disjoint(begun.keySet(), run.assignedTo(B))) {
          // The first one's fetch brought records of partitions alone that it keeps: once more.
          assertThat(besides--).as("batches of other partitions").isPositive();
          run.bringForward(run.assignedTo(B)); // who joins again gets the same ones, as a rule
          Files.delete(hold);
          run.terminate(b);
          run.awaitAllDone();
          continue;
        }
        run.awaitAlive(() -> run.reached(begun) > 0);
        if (comesBack) {
          run.terminate(b);
          await()
              .atMost(FaultRun.LONGEST)
              .until(() -> run.assigned().equals(List.of(run.partitions())));
        }
        assertThat(run.passed(A, ApiKeys.PRODUCE, Way.REQUEST))
            .as("all this within one batch of the first member")
            .isEqualTo(produced);
        Files.delete(hold);
        if (!comesBack) {
          Stop inMidBatch = run.stop(B, ApiKeys.OFFSET_COMMIT, Way.RESPONSE, 0);
          run.send(portion);
          assertThat(inMidBatch.isReachedWithin(FaultRun.LONGEST)).isTrue();
          inMidBatch.release();
          run.terminate(b);
        }
        run.awaitAllDone();
        round++;
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(a);
      run.assertEachScoredOnce(Math.max(1, responses / COMPARED));
    }
    LOG.info("{} responses, {}: {} times a member came and went", responses, protocol, rounds);
  }
}
