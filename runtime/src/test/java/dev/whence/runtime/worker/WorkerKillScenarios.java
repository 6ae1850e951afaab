package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerBench.Topics;
import dev.whence.runtime.worker.WorkerProcess.Fault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** What happens to a worker process that is killed, at the size that the caller chooses. */
final class WorkerKillScenarios {
  private static final List<Fault> KILLS =
      List.of(Fault.IN_MODEL, Fault.INSIDE_TRANSACTION, Fault.BEFORE_COMMIT);

  private WorkerKillScenarios() {}

  /** Killed at each place in turn, then from outside; each time a new process takes over. */
  static void killedAtEachPlace(GroupProtocol protocol, int records, Path directory)
      throws Exception {
    WorkerBench bench = WorkerBench.shared();
    Topics topics = bench.topics();
    bench.produce(topics, records, i -> WorkerBench.bytes("v" + i));
    for (Fault fault : KILLS) {
      Process process = WorkerProcess.start(bench, topics, protocol, "a", fault, directory);
      assertThat(process.waitFor(90, TimeUnit.SECONDS)).as("%s ends the process", fault).isTrue();
      assertThat(process.exitValue()).isEqualTo(9);
    }
    int before = bench.read(topics.out()).size();
    Process victim = WorkerProcess.start(bench, topics, protocol, "a", Fault.NONE, directory);
    await()
        .atMost(Duration.ofSeconds(90))
        .until(() -> bench.read(topics.out()).size() > before || !victim.isAlive());
    victim.destroyForcibly().waitFor();
    Process last = WorkerProcess.start(bench, topics, protocol, "a", Fault.NONE, directory);
    try {
      await().atMost(Duration.ofMinutes(2)).until(() -> bench.read(topics.out()).size() >= records);
    } finally {
      last.destroyForcibly().waitFor();
    }
    assertThat(bench.counts(topics.out())).isEqualTo(WorkerBench.once(records));
    assertThat(bench.counts(topics.dlq())).isEmpty();
  }

  /** A record that kills every process that touches it is given up after three times. */
  static void killerRecord(GroupProtocol protocol, int records, Path directory) throws Exception {
    WorkerBench bench = WorkerBench.shared();
    Topics topics = bench.topics(1);
    bench.produce(topics, records, i -> WorkerBench.bytes("v" + i));
    for (int death = 1; death <= 3; death++) {
      Process process =
          WorkerProcess.start(bench, topics, protocol, "a", Fault.ALWAYS_IN_MODEL, directory);
      assertThat(process.waitFor(90, TimeUnit.SECONDS)).as("death %d", death).isTrue();
    }
    Process survivor =
        WorkerProcess.start(bench, topics, protocol, "a", Fault.ALWAYS_IN_MODEL, directory);
    try {
      await()
          .atMost(Duration.ofSeconds(90))
          .until(() -> bench.read(topics.out()).size() >= records || !survivor.isAlive());
      assertThat(survivor.isAlive()).as("the fourth process lives on").isTrue();
    } finally {
      survivor.destroyForcibly().waitFor();
    }
    assertThat(bench.counts(topics.out())).isEqualTo(WorkerBench.once(records));
    assertThat(bench.counts(topics.dlq())).isEqualTo(Map.of("k7", 1));
    assertThat(bench.read(topics.out()))
        .filteredOn(record -> WorkerBench.text(record.key()).equals("k7"))
        .extracting(record -> WorkerBench.text(record.value()))
        .containsExactly("FAILED ATTEMPTS_EXHAUSTED");
  }
}
