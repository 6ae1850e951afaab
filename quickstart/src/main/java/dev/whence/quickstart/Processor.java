package dev.whence.quickstart;

import dev.whence.attribution.stage.AttributionConfig;
import dev.whence.attribution.stage.AttributionProcessor;
import dev.whence.attribution.stage.ModelLoader;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.worker.Halt;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * The attribution processors as in a deployment, but for the model, which is already loaded: one
 * that scores everything with it, or a proxy in front (FAST) and the model behind (TARGET).
 */
final class Processor implements AutoCloseable {
  /** Of a processor in its group: the same at every start, as its transactions ask for. */
  private static final String INSTANCE = "quickstart";

  /**
   * Little enough that the fast path gets to work while somebody watches: .7 is shown by 20 pairs
   * of which 19 agree, .9 not even by 30 of 30.
   */
  private static final Map<String, String> FAST =
      Map.of(
          "role", "fast",
          "escalation.enabled", "true",
          "escalation.least-pairs", "20",
          "escalation.shadow-share", "0.2",
          "escalation.agreement", "0.7");

  private final List<AttributionProcessor> processors;

  private Processor(List<AttributionProcessor> processors) {
    this.processors = processors;
  }

  /**
   * Starts them.
   *
   * @param proxy model of the FAST role; empty: there is only one role
   * @param released where models may lie that are released later; empty: none is taken over
   */
  static Processor start(
      Connection connection,
      Path dataDir,
      SharedModel model,
      Optional<Path> proxy,
      Optional<Path> released) {
    Map<String, String> common =
        Map.of(
            "kafka.bootstrap.servers", connection.bootstrapServers(),
            "registry.url", connection.registryUrl(),
            "instance.id", INSTANCE,
            "data.dir", dataDir.toString(),
            "http.port", "-1",
            "shutdown.grace", "2s",
            "model", model.path().toString());
    List<AttributionProcessor> processors = new ArrayList<>();
    try {
      if (proxy.isPresent()) {
        Map<String, String> fast = new HashMap<>(common);
        fast.putAll(FAST);
        fast.put("model", proxy.get().toString());
        processors.add(start(fast, ModelLoader.local(model.options())));
      }
      Map<String, String> target = new HashMap<>(common);
      released.ifPresent(root -> target.put("models.roots", root.toString()));
      if (proxy.isPresent()) {
        target.put("role", "target");
      }
      processors.add(start(target, model.loader()));
      return new Processor(processors);
    } catch (RuntimeException e) {
      processors.forEach(AttributionProcessor::close);
      throw e;
    }
  }

  private static AttributionProcessor start(Map<String, String> settings, ModelLoader loader) {
    return AttributionProcessor.start(
        AttributionConfig.read(Settings.of(settings)), Map.of(), loader, Halt.process());
  }

  /**
   * What was measured of the fast path: "the fast path agrees with the target on 93 % (78 to 98) of
   * 27 answers; 22 % are handed on"; empty until enough was.
   */
  Optional<String> fastPath() {
    MeterRegistry meters = processors.get(0).meters();
    if (processors.size() == 1
        || Double.isNaN(gauge(meters, "whence.fast.agreement", "low"))
        || Double.isNaN(gauge(meters, "whence.fast.escalated.share", "estimate"))) {
      return Optional.empty(); // agreement is told from the first pair on, before it is enough
    }
    return Optional.of(
        String.format(
            Locale.ROOT,
            "the fast path agrees with the target on %.0f %% (%.0f to %.0f) of %.0f answers; it"
                + " hands on the %.0f %% that it is least sure of, and samples",
            100 * gauge(meters, "whence.fast.agreement", "estimate"),
            100 * gauge(meters, "whence.fast.agreement", "low"),
            100 * gauge(meters, "whence.fast.agreement", "high"),
            meters.get("whence.fast.pairs").gauge().value(),
            100 * gauge(meters, "whence.fast.escalated.share", "estimate")));
  }

  private static double gauge(MeterRegistry meters, String name, String bound) {
    return meters.get(name).tag("bound", bound).gauge().value();
  }

  /**
   * @throws dev.whence.runtime.worker.WorkerException or what else ended a processor, if one ended
   */
  void check() throws Exception {
    for (AttributionProcessor processor : processors) {
      CompletableFuture<Void> ended = processor.ended();
      if (ended.isDone()) {
        Void unused = ended.get();
      }
    }
  }

  @Override
  public void close() {
    processors.forEach(AttributionProcessor::close);
  }
}
