package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.OverWindow;
import dev.whence.attribution.method.Attention;
import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.Cascade;
import dev.whence.attribution.method.GradientNorm;
import dev.whence.attribution.method.LeaveOneOut;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.method.ParagraphSplice;
import dev.whence.attribution.method.Similarity;
import dev.whence.attribution.method.Splice;
import dev.whence.attribution.remote.RemoteOptions;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.text.jinja.JinjaException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.config.Start;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * What the attribution processor is configured with.
 *
 * @param runtime the part of every processor
 * @param model path or name of the model that scores while no release is live, or empty
 * @param chatTemplate Jinja that this model is prompted with instead of its own template, or empty;
 *     a release brings its own
 * @param engine how the model runs
 * @param server that runs the model instead of this process
 * @param attribution how to attribute
 * @param sampling which responses are scored
 * @param role which part of the work is done
 * @param escalation when the FAST role hands a response on; empty: never
 * @param budget of the TARGET role
 * @param includeText whether results carry the texts of sources
 * @param includeTokens whether results carry the log-probability of each token
 * @param largestRecordBytes a larger record is given up unread
 */
public record AttributionConfig(
    RuntimeConfig runtime,
    Optional<String> model,
    Optional<String> chatTemplate,
    EngineOptions engine,
    Optional<RemoteOptions> server,
    AttributionOptions attribution,
    Sampling sampling,
    Role role,
    Optional<EscalationOptions> escalation,
    BudgetOptions budget,
    boolean includeText,
    boolean includeTokens,
    int largestRecordBytes) {

  /** What a processor with one model can do. */
  private static final List<String> METHODS =
      AttributionMethod.NAMES.stream().filter(name -> !name.startsWith("proxy")).toList();

  private static final Set<String> NOT_BY_SERVER =
      Set.of(
          Splice.NAME,
          ParagraphSplice.NAME,
          Cascade.NAME,
          Attention.NAME,
          GradientNorm.NAME,
          Similarity.NAME);

  /** With other methods nobody could say whether the fast path was right. */
  private static final List<String> COMPARABLE =
      List.of(LeaveOneOut.EXACT, LeaveOneOut.NAIVE, Cascade.NAME, Splice.NAME);

  private static final int MIB = 1 << 20;

  /** Room for the prompts of a few conversations. */
  private static final long DEFAULT_TRUNK_CACHE = 256L * MIB;

  /**
   * What attributable texts are: those declared so, or everything but question and instructions.
   */
  private enum Attributable {
    DECLARED,
    ALL
  }

  /**
   * Reads the whole configuration.
   *
   * @throws dev.whence.runtime.config.ConfigException with everything that is wrong
   */
  public static AttributionConfig read(Settings settings) {
    Role role = settings.choice("role", Role.class, Role.FAST);
    RuntimeConfig runtime = RuntimeConfig.read(settings, role.defaultGroup());
    Optional<String> model = settings.text("model");
    if (model.isEmpty() && runtime.models().roots().isEmpty()) {
      settings.problem(
          "neither model nor models.roots is set: there is nothing to score with, and no release"
              + " could be taken over");
    }
    AttributionConfig config =
        new AttributionConfig(
            runtime,
            model,
            chatTemplate(settings, model),
            engine(settings),
            server(settings, runtime.failures()),
            attribution(settings),
            Sampling.read(settings),
            role,
            EscalationOptions.read(settings),
            BudgetOptions.read(settings),
            settings.flag("results.include-text", false),
            settings.flag("results.include-tokens", false),
            (int) settings.bytes("limits.record-bytes", 8L * MIB, 1024, 256L * MIB));
    if (role == Role.TARGET && config.escalation().isPresent()) {
      settings.problem("escalation.enabled is for the role fast: the target has nobody to ask");
    }
    if (config.escalation().isPresent()
        && !AttributionMethod.of(config.attribution().method()).givesNats()) {
      settings.problem(
          "escalation.enabled needs an attribution.method whose scores are nats, '"
              + config.attribution().method().name()
              + "' only ranks");
    }
    if (role == Role.TARGET && !COMPARABLE.contains(config.attribution().method().name())) {
      settings.problem(
          "attribution.method of the target must score every source in the whole context, in nats: "
              + String.join(", ", COMPARABLE));
    }
    if (role == Role.TARGET && runtime.start() == Start.LATEST) {
      settings.problem(
          "start of the target must be earliest: provisional results whose escalations were skipped"
              + " would never become final");
    }
    if (role == Role.TARGET && !config.sampling().equals(Sampling.ALL)) {
      settings.problem(
          "sampling.* and filter.* are for the role fast: the target scores what it is asked");
    }
    if (role == Role.FAST && config.budget().tokensPerSecond() > 0) {
      settings.problem("budget.* is for the role target: the fast path scores everything");
    }
    if (config.server().isPresent()
        && NOT_BY_SERVER.contains(config.attribution().method().name())) {
      settings.problem(
          "attribution.method is '"
              + config.attribution().method().name()
              + "', but a server can not splice, and nothing can be read inside its model: choose"
              + " exact-loo, naive-loo, hierarchical or contextcite");
    }
    settings.finish();
    return config;
  }

  /** The text of the file that {@code chat-template} names, which must be a template. */
  private static Optional<String> chatTemplate(Settings settings, Optional<String> model) {
    Optional<String> file = settings.text("chat-template");
    if (file.isEmpty()) {
      return Optional.empty();
    }
    if (model.isEmpty()) {
      settings.problem(
          "chat-template is for model, but none is set: a release brings its own template");
    }
    try {
      String template = Files.readString(Path.of(file.get()));
      JinjaTemplate.parse(template);
      return Optional.of(template);
    } catch (IOException | InvalidPathException e) {
      settings.problem(
          "chat-template is '" + file.get() + "', which can not be read as a file of UTF-8");
    } catch (JinjaException e) {
      settings.problem(
          "chat-template is '" + file.get() + "', which is no template: " + e.getMessage());
    }
    return Optional.empty();
  }

  private static EngineOptions engine(Settings settings) {
    List<String> aliases = settings.list("models.aliases");
    EngineOptions.Dtype dtype =
        settings.choice("engine.dtype", EngineOptions.Dtype.class, EngineOptions.Dtype.AUTO);
    String device = settings.text("engine.device", "auto");
    if (!device.matches("auto|cpu|cuda:[0-9]{1,3}")) {
      settings.problem("engine.device is '" + device + "', but must be auto, cpu or cuda:N");
      device = "auto";
    }
    return new EngineOptions(
        dtype,
        device,
        settings.integer("engine.pack-tokens", 0, 0, 1 << 20),
        settings.bytes("engine.memory", 0, 0, 1L << 40),
        settings.integer("engine.threads", 0, 0, 1024),
        settings.bytes("engine.trunk-cache", DEFAULT_TRUNK_CACHE, 0, 1L << 40),
        aliases,
        settings.text("engine.native-dir").map(Path::of));
  }

  /** The server, if one is named: {@code server.url} and what else is known of it. */
  private static Optional<RemoteOptions> server(Settings settings, FailurePolicy failures) {
    Optional<String> url = settings.text("server.url");
    String protocol = settings.text("server.protocol", "sglang");
    Optional<String> model = settings.text("server.model");
    Optional<String> key = settings.text("server.api-key");
    String dtype = settings.text("server.dtype", "bf16");
    Duration timeout =
        settings.duration(
            "server.timeout", Duration.ofSeconds(60), Duration.ofMillis(10), Duration.ofHours(1));
    int attempts = settings.integer("server.attempts", 4, 1, 100);
    int usual =
        RemoteOptions.concurrency(
            protocol.equalsIgnoreCase("llama-cpp")
                ? RemoteOptions.Protocol.LLAMA_CPP
                : RemoteOptions.Protocol.SGLANG);
    int concurrency = settings.integer("server.concurrency", usual, 1, 1024);
    List<String> aliases = settings.list("models.aliases");
    if (url.isEmpty()) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          new RemoteOptions(
              address(url.get()),
              RemoteOptions.Protocol.of(protocol),
              model,
              key,
              dtype,
              timeout,
              attempts,
              concurrency,
              aliases,
              new RemoteOptions.Patience(failures.hangFactor(), failures.hangAtLeast())));
    } catch (IllegalArgumentException e) {
      settings.problem("server.*: " + e.getMessage());
      return Optional.empty();
    }
  }

  /** Without the text itself in the sentence: it may hold a secret. */
  private static URI address(String url) {
    try {
      return new URI(url);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException("url is no address: " + e.getReason(), e);
    }
  }

  /** Zero where none is set; one of 0 would leave no time for anything. */
  private static Duration deadline(Settings settings, String method) {
    if (settings.text("attribution.deadline").isEmpty()) {
      return Duration.ZERO;
    }
    Duration deadline =
        settings.duration(
            "attribution.deadline",
            Duration.ofSeconds(1),
            Duration.ofMillis(1),
            Duration.ofHours(1));
    if (!method.equals(Cascade.NAME)) {
      settings.problem(
          "attribution.deadline is for attribution.method cascade: '"
              + method
              + "' can not be ended before it is done");
      return Duration.ZERO;
    }
    return deadline;
  }

  private static AttributionOptions attribution(Settings settings) {
    AttributionOptions defaults = AttributionOptions.DEFAULT;
    MethodOptions dials = defaults.method();
    String method = settings.text("attribution.method", dials.name());
    if (!METHODS.contains(method)) {
      settings.problem(
          "attribution.method is '"
              + method
              + "', but must be one of "
              + String.join(", ", METHODS));
      method = dials.name();
    }
    String pattern = settings.text("attribution.context-pattern", "");
    if (!pattern.isEmpty()) {
      try {
        if (Pattern.compile(pattern).matcher("").groupCount() != 1) {
          settings.problem("attribution.context-pattern must have exactly one group: the context");
        }
      } catch (PatternSyntaxException e) {
        settings.problem(
            "attribution.context-pattern is no regular expression (at character "
                + e.getIndex()
                + ")");
      }
    }
    return new AttributionOptions(
        new MethodOptions(
            method,
            settings.integer(
                "attribution.keep-paragraphs", dials.keepParagraphs(), 1, MethodOptions.MOST),
            settings.integer("attribution.heal", dials.heal(), 0, MethodOptions.MOST_HEALED),
            settings.integer("attribution.exact-top", dials.exactTop(), 1, MethodOptions.MOST),
            settings.integer("attribution.masks", dials.masks(), 2, MethodOptions.MOST),
            settings.integer("attribution.seed", (int) dials.seed(), 0, Integer.MAX_VALUE),
            dials.ofProxy(),
            deadline(settings, method)),
        settings.choice("attribution.granularity", Granularity.class, defaults.granularity()),
        settings.duration("max-cost", Duration.ZERO, Duration.ZERO, Duration.ofDays(1)).toMillis()
            / 1000.0,
        settings.choice("attribution.attributable", Attributable.class, Attributable.DECLARED)
            == Attributable.ALL,
        pattern,
        settings.choice("attribution.over-window", OverWindow.class, defaults.overWindow()));
  }
}
