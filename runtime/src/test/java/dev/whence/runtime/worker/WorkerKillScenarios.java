package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import dev.whence.runtime.worker.WorkerProcess.Fault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What happens to a worker process that is killed, at the size that the caller chooses. */
final class WorkerKillScenarios {
  private static final List<Fault> KILLS =
      List.of(Fault.IN_MODEL, Fault.INSIDE_TRANSACTION, Fault.BEFORE_COMMIT);

  private static final int SMALL_HEAP_MEBIBYTES = 96;

  /** The heap holds it once, and not the copy that the client makes. */
  private static final int BOMB_BYTES = 60 << 20;

  private WorkerKillScenarios() {}

  /** Killed at each place in turn, then from outside; each time a new process takes over. */
  static void killedAtEachPlace(GroupProtocol protocol, int records, Path directory)
      throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, records, i -> WorkerCluster.bytes("v" + i));
    for (Fault fault : KILLS) {
      Process process = WorkerProcess.start(cluster, topics, protocol, "a", fault, directory);
      assertThat(process.waitFor(90, TimeUnit.SECONDS)).as("%s ends the process", fault).isTrue();
      assertThat(process.exitValue()).isEqualTo(9);
    }
    int before = cluster.read(topics.out()).size();
    Process victim = WorkerProcess.start(cluster, topics, protocol, "a", Fault.NONE, directory);
    await()
        .atMost(Duration.ofSeconds(90))
        .until(() -> cluster.read(topics.out()).size() > before || !victim.isAlive());
    victim.destroyForcibly().waitFor();
    Process last = WorkerProcess.start(cluster, topics, protocol, "a", Fault.NONE, directory);
    try {
      await()
          .atMost(Duration.ofMinutes(2))
          .until(() -> cluster.read(topics.out()).size() >= records);
    } finally {
      last.destroyForcibly().waitFor();
    }
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(records));
    assertThat(cluster.counts(topics.dlq())).isEmpty();
  }

  /**
   * A compressed batch with a record that the heap does not hold, in each codec, between others:
   * one process dies of it, and the next one does all but that record.
   */
  static void decompressionBomb(GroupProtocol protocol, Path directory) throws Exception {
    List<String> codecs = List.of("gzip", "zstd", "lz4", "snappy");
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics(codecs.size());
    cluster.shrink(topics.in(), 8 << 20);
    Map<String, Integer> expected = new TreeMap<>();
    Map<String, Integer> bombs = new TreeMap<>();
    for (int partition = 0; partition < codecs.size(); partition++) {
      String codec = codecs.get(partition);
      List<Future<?>> sent = new ArrayList<>();
      try (KafkaProducer<byte[], byte[]> producer = oneBatch(cluster, codec)) {
        for (String name : List.of("before", "bomb", "after")) {
          byte[] value = name.equals("bomb") ? new byte[BOMB_BYTES] : WorkerCluster.bytes("v");
          byte[] key = WorkerCluster.bytes(codec + "-" + name);
          sent.add(producer.send(new ProducerRecord<>(topics.in(), partition, key, value)));
          expected.put(codec + "-" + name, 1);
        }
      }
      for (Future<?> one : sent) {
        one.get();
      }
      bombs.put(codec + "-bomb", 1);
    }
    cluster.produce(topics, 40, i -> WorkerCluster.bytes("v" + i));
    expected.putAll(WorkerCluster.once(40));
    Process victim = bombed(cluster, topics, protocol, directory);
    assertThat(victim.waitFor(90, TimeUnit.SECONDS)).as("the first process ends").isTrue();
    assertThat(victim.exitValue()).isEqualTo(Halt.STATUS);
    assertThat(WorkerProcess.log(directory))
        .contains("out of memory while reading {" + topics.in() + "-");
    assertThat(cluster.committed(topics).values())
        .as("it leaves a mark for the next one")
        .anyMatch(offset -> offset.metadata().contains("memory="));

    Process next = bombed(cluster, topics, protocol, directory);
    try {
      await()
          .atMost(Duration.ofSeconds(90))
          .until(() -> cluster.read(topics.out()).size() >= expected.size() || !next.isAlive());
      // Whatever comes later is read as ever.
      cluster.produce(topics, 4, i -> WorkerCluster.bytes("later"));
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> cluster.read(topics.out()).size() >= expected.size() + 4 || !next.isAlive());
      assertThat(next.isAlive())
          .as("the second process lives on; its log: %s", WorkerProcess.log(directory))
          .isTrue();
    } finally {
      next.destroyForcibly().waitFor();
    }
    List.of("k0", "k1", "k2", "k3").forEach(key -> expected.merge(key, 1, Integer::sum));
    assertThat(cluster.counts(topics.out())).isEqualTo(expected);
    assertThat(cluster.counts(topics.dlq())).isEqualTo(bombs);
    for (ConsumerRecord<byte[], byte[]> dead : cluster.read(topics.dlq())) {
      assertThat(dead.value()).isNull();
      assertThat(WorkerCluster.text(dead.headers().lastHeader(DeadLetterHeaders.CODE).value()))
          .isEqualTo("TOO_LARGE_DECOMPRESSED");
      assertThat(WorkerCluster.text(dead.headers().lastHeader(DeadLetterHeaders.MESSAGE).value()))
          .matches(topics.in() + "-\\d-1 is too large once decompressed: .*");
      assertThat(
              Long.parseLong(
                  WorkerCluster.text(
                      dead.headers().lastHeader(DeadLetterHeaders.OMITTED_BYTES).value())))
          .isGreaterThan(BOMB_BYTES);
    }
    assertThat(cluster.committed(topics).values())
        .as("the mark is gone")
        .noneMatch(offset -> offset.metadata().contains("memory="));
  }

  private static Process bombed(
      WorkerCluster cluster, Topics topics, GroupProtocol protocol, Path directory)
      throws Exception {
    return WorkerProcess.start(
        cluster, topics, protocol, "a", Fault.NONE, directory, SMALL_HEAP_MEBIBYTES);
  }

  /** A producer that sends all it is given as one batch, when it is closed. */
  private static KafkaProducer<byte[], byte[]> oneBatch(WorkerCluster cluster, String codec) {
    return new KafkaProducer<>(
        Map.of(
            "bootstrap.servers",
            cluster.broker.bootstrapServers(),
            "compression.type",
            codec,
            "linger.ms",
            60_000,
            "batch.size",
            BOMB_BYTES + (1 << 20),
            "buffer.memory",
            2L * BOMB_BYTES,
            "max.request.size",
            2 * BOMB_BYTES),
        new ByteArraySerializer(),
        new ByteArraySerializer());
  }

  /** A record that kills every process that touches it is given up after three times. */
  static void killerRecord(GroupProtocol protocol, int records, Path directory) throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics(1);
    cluster.produce(topics, records, i -> WorkerCluster.bytes("v" + i));
    for (int death = 1; death <= 3; death++) {
      Process process =
          WorkerProcess.start(cluster, topics, protocol, "a", Fault.ALWAYS_IN_MODEL, directory);
      assertThat(process.waitFor(90, TimeUnit.SECONDS)).as("death %d", death).isTrue();
    }
    Process survivor =
        WorkerProcess.start(cluster, topics, protocol, "a", Fault.ALWAYS_IN_MODEL, directory);
    try {
      await()
          .atMost(Duration.ofSeconds(90))
          .until(() -> cluster.read(topics.out()).size() >= records || !survivor.isAlive());
      assertThat(survivor.isAlive()).as("the fourth process lives on").isTrue();
    } finally {
      survivor.destroyForcibly().waitFor();
    }
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(records));
    assertThat(cluster.counts(topics.dlq())).isEqualTo(Map.of("k7", 1));
    assertThat(cluster.read(topics.out()))
        .filteredOn(record -> WorkerCluster.text(record.key()).equals("k7"))
        .extracting(record -> WorkerCluster.text(record.value()))
        .containsExactly("FAILED ATTEMPTS_EXHAUSTED");
  }
}
