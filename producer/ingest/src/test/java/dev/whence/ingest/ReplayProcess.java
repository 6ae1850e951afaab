package dev.whence.ingest;

import dev.whence.producer.Whence;
import java.nio.file.Path;
import java.time.Duration;

/** A replay in a process of its own, to be killed. */
public final class ReplayProcess {
  private ReplayProcess() {}

  /**
   * Replays a file.
   *
   * @param arguments input, bootstrap servers, registry, topic prefix, rate
   */
  public static void main(String[] arguments) throws Exception {
    ReplayOptions options =
        new ReplayOptions(
            Path.of(arguments[0]), Double.parseDouble(arguments[4]), false, Duration.ofSeconds(30));
    ReplayReport report =
        new Replay(options, new ReplayListener() {})
            .run(
                Whence.builder()
                    .bootstrapServers(arguments[1])
                    .schemaRegistry(arguments[2])
                    .topicPrefix(arguments[3])
                    .autoRegisterSchemas(true));
    System.exit(report.succeeded() ? 0 : 1);
  }
}
