package dev.whence.transfer.stage;

import dev.whence.engine.EngineOptions;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.transfer.gate.CommandJudge;
import dev.whence.transfer.gate.EngineJudge;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.Judge;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What the transfer processor is configured with.
 *
 * @param runtime the part of every processor; {@code models.roots} is where inputs may lie
 * @param outputRoot where results go, a directory for each model; may be in a bucket
 * @param work where results for a bucket grow
 * @param gates what every transfer is measured by
 * @param judge who measures
 * @param progressInterval time between two PROGRESS events
 * @param memoryBytes of the merge's buffers
 * @param subscriptions fine-tunings that are kept on the newest base of their lines
 */
public record TransferConfig(
    RuntimeConfig runtime,
    Path outputRoot,
    Path work,
    GateOptions gates,
    Judge judge,
    Duration progressInterval,
    long memoryBytes,
    List<Subscription> subscriptions) {

  /** Consumer group where none is configured. */
  public static final String DEFAULT_GROUP = "whence-transfer";

  private static final long MIB = 1 << 20;

  /**
   * "Keep fine-tune F of base B on the newest base of its line."
   *
   * @param name among several; empty for the one of {@code subscription.*}
   * @param base modelId of B
   * @param fineTuned modelId of F
   * @param line which modelIds are bases of the line
   * @param result what the modelIds of results begin with, before {@code -on-} and the new base's
   * @param roles of what is published
   * @param aliases of what is published
   * @param lambda factor of the difference
   * @param sweep further factors whose losses are measured
   * @param policies by name, as requests have them
   */
  public record Subscription(
      String name,
      String base,
      String fineTuned,
      Pattern line,
      String result,
      List<ModelRole> roles,
      List<String> aliases,
      double lambda,
      List<Double> sweep,
      Map<String, String> policies) {
    public Subscription {
      roles = List.copyOf(roles);
      aliases = List.copyOf(aliases);
      sweep = List.copyOf(sweep);
      policies = Map.copyOf(policies);
    }

    /** Who asked, in its requests. */
    String requestedBy() {
      return name.isEmpty() ? "subscription" : "subscription " + name;
    }
  }

  public TransferConfig {
    subscriptions = List.copyOf(subscriptions);
  }

  /**
   * Reads the whole configuration.
   *
   * @throws dev.whence.runtime.config.ConfigException with everything that is wrong
   */
  public static TransferConfig read(Settings settings) {
    RuntimeConfig runtime = RuntimeConfig.read(settings, DEFAULT_GROUP);
    if (runtime.models().roots().isEmpty()) {
      settings.problem("models.roots is not set: no model could be read");
    }
    Path output = output(settings);
    Path task = set(settings, "gates.task-set", "what fine-tuning was for, JSONL");
    Path general = set(settings, "gates.general-set", "what must not be forgotten, JSONL");
    GateOptions gates =
        new GateOptions(
            task,
            general,
            limit(settings, "gates.barrier-limit"),
            limit(settings, "gates.task-tolerance"),
            limit(settings, "gates.general-tolerance"),
            List.of());
    TransferConfig config =
        new TransferConfig(
            runtime,
            output,
            runtime.dataDir().resolve("transfers"),
            gates,
            judge(settings),
            settings.duration(
                "progress.interval",
                Duration.ofSeconds(10),
                Duration.ofMillis(10),
                Duration.ofHours(1)),
            settings.bytes("merge.memory", 128 * MIB, MIB, 1024 * 1024 * MIB),
            SubscriptionSettings.read(settings));
    settings.finish();
    return config;
  }

  private static Path output(Settings settings) {
    String root = settings.required("output.root", "where transferred models go");
    try {
      return ModelLocation.path(root);
    } catch (IllegalArgumentException e) {
      settings.problem("output.root: " + e.getMessage());
      return Path.of("");
    }
  }

  private static Path set(Settings settings, String key, String whatFor) {
    String name = settings.required(key, whatFor);
    if (name.isEmpty()) {
      return Path.of("");
    }
    try {
      Path set = Path.of(name);
      if (!Files.isRegularFile(set) || !Files.isReadable(set)) {
        settings.problem(key + " is '" + name + "', which is no file that can be read");
      }
      return set;
    } catch (InvalidPathException e) {
      settings.problem(key + " is no path: " + e.getReason());
      return Path.of("");
    }
  }

  private static double limit(Settings settings, String key) {
    return settings.number(key, GateOptions.DEFAULT_LIMIT, 0, GateOptions.LARGEST_LIMIT);
  }

  private static Judge judge(Settings settings) {
    List<String> command = settings.list("gates.judge");
    Duration timeout =
        settings.duration(
            "gates.judge-timeout",
            Duration.ofHours(1),
            Duration.ofSeconds(1),
            Duration.ofHours(100));
    EngineOptions.Dtype dtype =
        settings.choice("engine.dtype", EngineOptions.Dtype.class, EngineOptions.Dtype.FP32);
    String device = settings.text("engine.device", "auto");
    long memory = settings.bytes("engine.memory", 0, 0, 1L << 40);
    if (!device.matches("auto|cpu|cuda:[0-9]{1,3}")) {
      settings.problem("engine.device is '" + device + "', but must be auto, cpu or cuda:N");
      device = "auto";
    }
    return command.isEmpty()
        ? new EngineJudge(
            EngineOptions.defaults().withDtype(dtype).withDevice(device).withMemoryBytes(memory))
        : new CommandJudge(command, timeout);
  }
}
