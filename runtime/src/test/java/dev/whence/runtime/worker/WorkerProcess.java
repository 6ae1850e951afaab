package dev.whence.runtime.worker;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * A worker in a JVM of its own, so that it can be killed. It echoes; at the place it is told it
 * halts as {@code kill -9} does: no finally block and no shutdown hook runs.
 */
final class WorkerProcess {
  /** Where the process halts, once; the marker file says that it did. */
  enum Fault {
    NONE,
    IN_MODEL,
    INSIDE_TRANSACTION,
    BEFORE_COMMIT,
    /** Every time that it meets the record "k7". */
    ALWAYS_IN_MODEL
  }

  private WorkerProcess() {}

  /** Starts a process; its log goes to a file. */
  static Process start(
      WorkerCluster cluster,
      WorkerCluster.Topics topics,
      GroupProtocol protocol,
      String instance,
      Fault fault,
      Path directory)
      throws IOException {
    return start(cluster, topics, protocol, instance, fault, directory, 128);
  }

  /** The same with a heap of so many MiB. */
  static Process start(
      WorkerCluster cluster,
      WorkerCluster.Topics topics,
      GroupProtocol protocol,
      String instance,
      Fault fault,
      Path directory,
      int heap)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx" + heap + "m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(WorkerProcess.class.getName());
    command.addAll(
        List.of(
            cluster.broker.bootstrapServers(),
            topics.in(),
            topics.out(),
            topics.dlq(),
            topics.group(),
            protocol.name(),
            instance,
            fault.name(),
            directory.resolve("halted-" + instance + "-" + fault).toString()));
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.resolve("worker.log").toFile()))
        .start();
  }

  /** What the processes of a directory have logged. */
  static String log(Path directory) throws IOException {
    return Files.readString(directory.resolve("worker.log"));
  }

  public static void main(String[] args) throws Exception {
    WorkerCluster.Topics topics = new WorkerCluster.Topics(args[1], args[2], args[3], args[4]);
    Fault fault = Fault.valueOf(args[7]);
    Path marker = Path.of(args[8]);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              String key = WorkerCluster.text(record.key());
              if (fault == Fault.ALWAYS_IN_MODEL && key.equals("k7")) {
                Runtime.getRuntime().halt(9);
              }
              if (fault == Fault.IN_MODEL && key.endsWith("5")) {
                haltOnce(marker);
              }
              LockSupport.parkNanos(2_000_000);
              return EchoStage.written(topics.out(), record);
            });
    TransactionHook hook =
        new TransactionHook() {
          @Override
          public void inside() {
            if (fault == Fault.INSIDE_TRANSACTION) {
              haltOnce(marker);
            }
          }

          @Override
          public void beforeCommit() {
            if (fault == Fault.BEFORE_COMMIT) {
              haltOnce(marker);
            }
          }
        };
    Worker worker =
        new Worker(
            WorkerCluster.options(
                topics, GroupProtocol.valueOf(args[5]), args[6], 16, WorkerCluster.QUICK),
            stage,
            WorkerCluster.clients(args[0], GroupProtocol.valueOf(args[5])),
            new Health(),
            new SimpleMeterRegistry(),
            Halt.process(),
            hook);
    worker.start();
    worker.ended().join();
  }

  private static void haltOnce(Path marker) {
    if (Files.exists(marker)) {
      return;
    }
    try {
      Files.createFile(marker);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Runtime.getRuntime().halt(9);
  }
}
