package dev.whence.cli;

import dev.whence.attribution.AttributionJson;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.NoiseFloor;
import dev.whence.attribution.OverWindow;
import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.quickstart.view.AttributionCard;
import dev.whence.quickstart.view.AttributionView;
import dev.whence.quickstart.view.Terminal;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Attribution without Kafka: one result per input line, in input order. */
@Command(
    name = "attribute",
    description = "Says which spans of each prompt drove its response, without Kafka.",
    mixinStandardHelpOptions = true)
final class AttributeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ModelOptions model = new ModelOptions();

  @Option(
      names = "--input",
      required = true,
      paramLabel = "F.jsonl",
      description = "responses, one JSON object per line; may be compressed (gzip) or a pipe")
  private Path input;

  @Option(
      names = "--method",
      defaultValue = "exact-loo",
      paramLabel = "METHOD",
      description =
          "exact-loo (default), naive-loo, hierarchical, splice, paragraph-splice, cascade, proxy,"
              + " proxy-pruning, contextcite, attention, gradient-norm or similarity")
  private String method;

  @Option(
      names = "--granularity",
      defaultValue = "SENTENCE",
      description = "${COMPLETION-CANDIDATES}; of sources that the input does not name itself")
  private Granularity granularity;

  @Option(
      names = "--keep-paragraphs",
      defaultValue = "3",
      paramLabel = "K",
      description = "paragraphs whose sentences hierarchical and paragraph-splice score")
  private int keepParagraphs;

  @Option(
      names = "--heal",
      defaultValue = "16",
      paramLabel = "W",
      description = "tokens after a removed source that the splicing methods recompute")
  private int heal;

  @Option(
      names = "--exact-top",
      defaultValue = "6",
      paramLabel = "M",
      description = "sources that cascade and proxy-pruning score again with exact LOO")
  private int exactTop;

  @Option(
      names = "--deadline",
      paramLabel = "SECONDS",
      description = "after which cascade scores no more sources again (default: none)")
  private Optional<Double> deadline = Optional.empty();

  @Option(
      names = "--proxy",
      paramLabel = "M2",
      description = "a smaller model, for proxy and proxy-pruning")
  private Optional<String> proxy = Optional.empty();

  @Option(
      names = "--proxy-method",
      defaultValue = "exact-loo",
      paramLabel = "METHOD",
      description = "by which the proxy scores")
  private String proxyMethod;

  @Option(
      names = "--masks",
      defaultValue = "64",
      paramLabel = "N",
      description = "ablated prompts that contextcite reads")
  private int masks;

  @Option(
      names = "--max-cost",
      defaultValue = "0",
      paramLabel = "SECONDS",
      description = "estimated cost above which a cheaper method or UNSUPPORTED is chosen; 0: none")
  private double maxCost;

  @Option(
      names = "--attributable",
      paramLabel = "all",
      description =
          "all: segments of unknown kind are attributable, and long questions and instructions")
  private String attributable = "";

  @Option(
      names = "--context-pattern",
      paramLabel = "REGEX",
      description = "finds the context inside a flattened prompt; has one group")
  private String contextPattern = "";

  @Option(
      names = "--over-window",
      paramLabel = "POLICY",
      defaultValue = "refuse",
      description =
          "what becomes of a prompt past the model's window: refuse (default, UNSUPPORTED) or"
              + " drop-sources, which leaves out the sources that have least in common with question"
              + " and response (BM25) and says which")
  private String overWindow;

  @Option(
      names = "--top-k",
      defaultValue = "0",
      paramLabel = "K",
      description = "only the K sources with the largest tau; 0: all (the heat-map ranks three)")
  private int topK;

  @Option(names = "--seed", defaultValue = "0", description = "of the masks that contextcite draws")
  private long seed;

  @Option(names = "--json", description = "one JSON object per response, nothing else")
  private boolean json;

  @Option(names = "--token-logprobs", description = "with --json: adds the tokens of the response")
  private boolean tokenLogProbs;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  AttributeCommand() {}

  @Override
  public Integer call() throws Exception {
    if (!attributable.isEmpty() && !attributable.equals("all")) {
      throw new UsageException("--attributable can only be 'all'");
    }
    if (tokenLogProbs && !json) {
      throw new UsageException("--token-logprobs belongs to --json: the heat map shows no tokens");
    }
    AttributionOptions options = options();
    AttributionJson writer = writer();
    InputFile.checkStream("--input", input);
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    Terminal terminal = Terminal.detect(System.out, System.getenv());
    AtomicInteger number = new AtomicInteger();
    AtomicInteger failed = new AtomicInteger();
    Optional<LocalScorer> smaller = Optional.empty();
    try (Scorer scorer = model.openScorer()) {
      smaller = proxy.map(model::open);
      Attributor attributor = attributor(scorer, smaller, options);
      boolean clean =
          JsonLines.forEach(
              input,
              ConversationCodec::read,
              conversation -> {
                AttributionResult result = attributor.attribute(conversation);
                number.incrementAndGet();
                if (result.status() == AttributionStatus.FAILED) {
                  failed.incrementAndGet();
                }
                if (json) {
                  out.println(writer.write(result));
                } else {
                  AttributionView view = AttributionView.of(conversation, result).withTop(topK);
                  AttributionCard.lines(view, number.get(), terminal).forEach(out::println);
                }
                Results.passOn(out);
              },
              (line, problem) -> err.println(input + ", line " + line + ": " + problem));
      if (failed.get() > 0) {
        err.println(
            "whence: "
                + failed
                + " of "
                + number
                + " responses FAILED; their results say why (reasonCode, reason)");
      }
      return clean && failed.get() == 0 ? Whence.DONE : Whence.FAILED;
    } finally {
      smaller.ifPresent(LocalScorer::close);
    }
  }

  private AttributionJson writer() {
    OptionRange.atLeast("--top-k", topK, 0);
    return new AttributionJson(topK, tokenLogProbs);
  }

  private OverWindow overWindow() {
    return switch (overWindow) {
      case "refuse" -> OverWindow.REFUSE;
      case "drop-sources" -> OverWindow.DROP_SOURCES;
      default ->
          throw new UsageException(
              "--over-window is '" + overWindow + "', but must be refuse or drop-sources");
    };
  }

  /** Everything that can be wrong with them is known before a model is loaded. */
  private AttributionOptions options() {
    try {
      MethodOptions dials = methodOptions();
      AttributionMethod wanted = AttributionMethod.of(dials);
      if (wanted.needsProxy()) {
        var unused = AttributionMethod.ofProxy(dials);
        if (proxy.isEmpty()) {
          throw new UsageException("--method " + method + " needs a --proxy");
        }
      } else if (proxy.isPresent()) {
        throw new UsageException(
            "--proxy belongs to --method proxy or proxy-pruning: " + method + " uses none");
      }
      return new AttributionOptions(
          dials, granularity, maxCost, !attributable.isEmpty(), contextPattern, overWindow());
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private MethodOptions methodOptions() {
    OptionRange.check("--keep-paragraphs", keepParagraphs, 1, MethodOptions.MOST);
    OptionRange.check("--heal", heal, 0, MethodOptions.MOST_HEALED);
    OptionRange.check("--exact-top", exactTop, 1, MethodOptions.MOST);
    OptionRange.check("--masks", masks, 2, MethodOptions.MOST);
    Duration time = Duration.ZERO;
    if (deadline.isPresent()) {
      if (!(deadline.get() >= 0.001 && deadline.get() <= 3600)) {
        throw new UsageException(
            "--deadline is " + deadline.get() + " s, but must be at least 0.001 and at most 3600");
      }
      time = Duration.ofNanos((long) (deadline.get() * 1e9));
    }
    return new MethodOptions(
        method, keepParagraphs, heal, exactTop, masks, seed, proxyMethod, time);
  }

  private static Attributor attributor(
      Scorer scorer, Optional<LocalScorer> proxy, AttributionOptions options) {
    try {
      return new Attributor(
          scorer,
          proxy.map(Scorer.class::cast),
          options,
          NoiseFloor.of(scorer.description().dtype()));
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }
}
