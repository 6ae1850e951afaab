package dev.whence.quickstart;

import dev.whence.attribution.stage.AttributionConfig;
import dev.whence.attribution.stage.AttributionProcessor;
import dev.whence.attribution.stage.ModelLoader;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.worker.Halt;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** The attribution processor as in a deployment, but for the model, which is already loaded. */
final class Processor implements AutoCloseable {
  /** Of the processor in its group: the same at every start, as its transactions ask for. */
  private static final String INSTANCE = "quickstart";

  private final AttributionProcessor processor;

  private Processor(AttributionProcessor processor) {
    this.processor = processor;
  }

  static Processor start(Connection connection, Path dataDir, SharedModel model) {
    Settings settings =
        Settings.of(
            Map.of(
                "kafka.bootstrap.servers", connection.bootstrapServers(),
                "registry.url", connection.registryUrl(),
                "instance.id", INSTANCE,
                "data.dir", dataDir.toString(),
                "http.port", "-1",
                "shutdown.grace", "2s",
                "model", model.path().toString()));
    ModelLoader loader = model.loader();
    return new Processor(
        AttributionProcessor.start(
            AttributionConfig.read(settings), Map.of(), loader, Halt.process()));
  }

  /**
   * @throws dev.whence.runtime.worker.WorkerException or what else ended the processor, if it ended
   */
  void check() throws Exception {
    CompletableFuture<Void> ended = processor.ended();
    if (ended.isDone()) {
      Void unused = ended.get();
    }
  }

  @Override
  public void close() {
    processor.close();
  }
}
