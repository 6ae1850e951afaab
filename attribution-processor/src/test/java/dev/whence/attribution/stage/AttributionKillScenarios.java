package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.attribution.stage.BrokerGate.Stop;
import dev.whence.attribution.stage.BrokerGate.Way;
import dev.whence.attribution.stage.FaultRun.Transaction;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.protocol.ApiKeys;

/**
 * What happens to the real attribution processor, with a real model, when processes, members and
 * the broker go, at the size that the caller chooses. Where a fault hits is made sure at the gate
 * and then shown by what the broker says; a fault that hit elsewhere does not count.
 *
 * <pre>
 * what a processor says to the broker, once a batch:
 *   OffsetCommit            "begun"           -> IN_THE_MODEL
 *   Produce                 results           -> INSIDE_THE_TRANSACTION
 *   TxnOffsetCommit         offsets           -> BETWEEN_SEND_AND_COMMIT
 *   EndTxn                  commit            -> COMMITTED_BUT_NOT_TOLD
 * </pre>
 */
final class AttributionKillScenarios {
  /** Where a process is killed: after what it has said last. */
  enum At {
    IN_THE_MODEL(ApiKeys.OFFSET_COMMIT, Way.RESPONSE, Transaction.NONE),
    INSIDE_THE_TRANSACTION(ApiKeys.TXN_OFFSET_COMMIT, Way.REQUEST, Transaction.RESULTS_WRITTEN),
    BETWEEN_SEND_AND_COMMIT(ApiKeys.END_TXN, Way.REQUEST, Transaction.OFFSETS_WRITTEN),
    COMMITTED_BUT_NOT_TOLD(ApiKeys.END_TXN, Way.RESPONSE, Transaction.NONE);

    private final ApiKeys api;
    private final Way way;
    private final Transaction leaves;

    At(ApiKeys api, Way way, Transaction leaves) {
      this.api = api;
      this.way = way;
      this.leaves = leaves;
    }
  }

  private static final String A = "a";
  private static final String B = "b";

  private AttributionKillScenarios() {}

  /**
   * Killed at each place in turn, so often; each time a new process takes over.
   *
   * @return how often a kill hit where it was meant to
   */
  static Map<At, Integer> killedAtEachPlace(
      GroupProtocol protocol, int responses, int rounds, Path directory) throws Exception {
    Random random = new Random(responses);
    Map<At, Integer> hits = new EnumMap<>(At.class);
    int portion = responses / (rounds * At.values().length + 1);
    Map<String, String> settings =
        Map.of("batch.max-records", Integer.toString(Math.min(8, Math.max(2, portion / 4))));
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Process process = run.start(A, settings);
      run.send(portion);
      run.awaitDone(1);
      for (int round = 0; round < rounds; round++) {
        for (At at : At.values()) {
          run.send(portion);
          boolean hit = killed(run, process, at, random);
          hits.merge(at, hit ? 1 : 0, Integer::sum);
          Map<org.apache.kafka.common.TopicPartition, Long> begun = run.begun();
          process = run.start(A, settings);
          // A record on which three processes died is given up, rightly: nobody dies on it again.
          run.awaitDone(begun);
        }
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(process);
      run.assertEachScoredOnce(Math.max(1, responses / 20));
    }
    return hits;
  }

  private static boolean killed(FaultRun run, Process process, At at, Random random)
      throws Exception {
    Stop stop = run.stop(A, at.api, at.way, random.nextInt(2));
    assertThat(stop.isReachedWithin(FaultRun.LONGEST)).as("%s is reached", at).isTrue();
    int produced = run.passed(A, ApiKeys.PRODUCE, Way.REQUEST);
    if (at == At.IN_THE_MODEL) {
      stop.release();
      LockSupport.parkNanos(Duration.ofMillis(random.nextInt(60)).toNanos());
    }
    run.kill(process);
    stop.drop();
    boolean open = run.transaction(A) == at.leaves;
    return switch (at) {
      // It has said that it begins, and nothing since.
      case IN_THE_MODEL ->
          open && !run.begun().isEmpty() && produced == run.passed(A, ApiKeys.PRODUCE, Way.REQUEST);
      case INSIDE_THE_TRANSACTION, BETWEEN_SEND_AND_COMMIT -> open && !run.begun().isEmpty();
      case COMMITTED_BUT_NOT_TOLD -> open && run.begun().isEmpty();
    };
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
        assertThat(run.transaction(A)).as("%s: the transaction", at).isEqualTo(at.leaves);
        run.restartBroker();
        stop.drop();
        run.awaitAllDone();
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(process);
      run.assertEachScoredOnce(Math.max(1, responses / 20));
    }
  }

  /**
   * A first member holds a batch in its model; a second one joins meanwhile, is given partitions of
   * that batch, commits records of them, and leaves. By turns it leaves in the middle of a batch of
   * its own after the first has gone on, or before: then its partitions come back to the first
   * within the same batch.
   */
  static void membersComeAndGo(GroupProtocol protocol, int responses, int rounds, Path directory)
      throws Exception {
    int portion = responses / (2 * rounds);
    Path hold = directory.resolve("hold");
    Map<String, String> first =
        Map.of("batch.max-records", "256", ProcessorProcess.HOLD, hold.toString());
    Map<String, String> second = Map.of("batch.max-records", "4");
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      Process a = run.start(A, first);
      run.send(1);
      run.awaitAllDone();
      for (int round = 0; round < rounds; round++) {
        boolean comesBack = round % 2 == 1;
        Files.createFile(hold);
        Stop begins = run.stop(A, ApiKeys.OFFSET_COMMIT, Way.RESPONSE, 0);
        run.send(portion);
        assertThat(begins.isReachedWithin(FaultRun.LONGEST)).as("the batch begins").isTrue();
        begins.release();
        int produced = run.passed(A, ApiKeys.PRODUCE, Way.REQUEST);
        long before = run.done();
        int committedByB = run.passed(B, ApiKeys.END_TXN, Way.RESPONSE);
        Process b = run.start(B, second);
        await()
            .atMost(FaultRun.LONGEST)
            .until(() -> run.passed(B, ApiKeys.END_TXN, Way.RESPONSE) > committedByB);
        assertThat(run.done()).as("done by the second member").isGreaterThan(before);
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
      }
      run.sendRest();
      run.awaitAllDone();
      run.terminate(a);
      run.assertEachScoredOnce(Math.max(1, responses / 20));
    }
  }
}
