package dev.whence.cli;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.OutputPlace;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorFiles;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.ekfac.LambdaForm;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.InfluenceJson;
import dev.whence.influence.query.InfluenceResult;
import dev.whence.influence.query.OpenedSearch;
import dev.whence.influence.query.QueryOptions;
import dev.whence.quickstart.view.DisplayText;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Which training data drove a response, on files. */
@Command(
    name = "influence",
    description =
        "Says which training documents drove a response: collect, factors, index, query,"
            + " export.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "collect|factors|index|query|export",
    subcommands = {
      InfluenceCollectCommand.class,
      InfluenceCommand.Factors.class,
      InfluenceCommand.Index.class,
      InfluenceCommand.Query.class,
      InfluenceExportCommand.class
    })
final class InfluenceCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  InfluenceCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "collect, factors, index, query or export is missing; --help tells more");
  }

  static EngineOptions engine(String device) {
    NativeEnd.prepare();
    try {
      return EngineOptions.defaults().withDevice(device);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  /** Options that can not be are wrong usage. */
  static <T> T usage(Callable<T> parse) throws Exception {
    try {
      return parse.call();
    } catch (InfluenceException | IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  /** Shows passes over a corpus. */
  static FactorsJob.Listener listener(ProgressBar bar, CorpusFile corpus) {
    long bytes = corpus.bytes();
    return new FactorsJob.Listener() {
      private String last = "";

      @Override
      public void pass(String pass, long bytesDone, Progress progress) {
        if (!pass.equals(last)) {
          last = pass;
          bar.note(pass);
          bar.begin(bytesDone, bytes, Math.round(progress.weight()));
        }
        bar.show(bytesDone, bytes, Math.round(progress.weight()), "tokens");
        if (bytesDone >= bytes) {
          bar.finish();
        }
      }

      @Override
      public void note(String sentence) {
        bar.note(sentence);
      }
    };
  }

  /** {@code whence influence factors}. */
  @Command(
      name = "factors",
      description = {
        "Computes the EK-FAC factors of a model on the corpus that it learnt.",
        "A run that was cut off goes on when the same command is given again."
      },
      mixinStandardHelpOptions = true)
  static final class Factors implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--model", required = true, paramLabel = "M")
    private String model;

    @Option(
        names = "--corpus",
        converter = Models.PathOrBucket.class,
        required = true,
        paramLabel = "F.jsonl",
        description = "documents (\"text\") or conversations, one per line; may end with .gz")
    private Path corpus;

    @Option(names = "--output", required = true, paramLabel = "DIR")
    private Path output;

    @Option(
        names = "--layers",
        defaultValue = "all",
        paramLabel = "all|mlp|attention|REGEX",
        description = "linear layers that count (${DEFAULT-VALUE})")
    private String layers;

    @Option(
        names = "--lambda-form",
        defaultValue = "per-sequence",
        paramLabel = "per-sequence|per-token",
        description = "per-token is cheaper, and exact only where tokens do not meet again")
    private String form;

    @Option(names = "--part", defaultValue = "1", description = "of the corpus, from 1")
    private int part;

    @Option(names = "--parts", defaultValue = "1", description = "workers that share the corpus")
    private int parts;

    @Option(names = "--pack-tokens", defaultValue = "1024", description = "of one forward")
    private int packTokens;

    @Option(names = "--seed", defaultValue = "1", description = "of the labels that are drawn")
    private long seed;

    @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
    private String device;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Factors() {}

    @Override
    public Integer call() throws Exception {
      InputFile.check("--corpus", corpus);
      OutputPlace.check(output); // before the model is loaded
      OptionRange.notEmpty("--layers", layers);
      OptionRange.atLeast("--pack-tokens", packTokens, 1);
      LayerSelection selection = usage(() -> new LayerSelection(layers));
      FactorsJob.Options options =
          usage(
              () ->
                  FactorsJob.Options.DEFAULT
                      .withSelection(selection)
                      .withForm(LambdaForm.of(form))
                      .withShare(new Share(part, parts))
                      .withPackTokens(packTokens)
                      .withSeed(seed));
      CorpusFile file = new CorpusFile(corpus);
      try (TappedModel opened =
          TappedModel.open(Models.resolve(model), selection, engine(device))) {
        opened.workAloneIfSmall();
        boolean complete =
            new FactorsJob(opened, file, output, options)
                .run(listener(ProgressBar.on(spec.commandLine().getErr()), file));
        if (complete) {
          spec.commandLine().getOut().println(output);
          spec.commandLine().getOut().flush();
        }
      }
      return Whence.DONE;
    }
  }

  /** {@code whence influence index}. */
  @Command(
      name = "index",
      description = {
        "Builds an index of the gradients of a corpus, whitened by factors.",
        "A run that was cut off goes on when the same command is given again."
      },
      mixinStandardHelpOptions = true)
  static final class Index implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--model", required = true, paramLabel = "M")
    private String model;

    @Option(
        names = "--factors",
        converter = Models.PathOrBucket.class,
        required = true,
        paramLabel = "DIR")
    private Path factors;

    @Option(
        names = "--corpus",
        converter = Models.PathOrBucket.class,
        required = true,
        paramLabel = "F.jsonl")
    private Path corpus;

    @Option(names = "--output", required = true, paramLabel = "DIR")
    private Path output;

    @Option(
        names = "--buckets",
        defaultValue = "0",
        paramLabel = "K",
        description =
            "numbers of a sketch, one bit of a document each; 0: a hundredth of a gradient's bytes"
                + " in fp32, at most 262144")
    private int buckets;

    @Option(
        names = "--measure",
        defaultValue = "log-likelihood",
        paramLabel = "log-likelihood|log-odds",
        description =
            "of documents: log-likelihood for the influence of one more unit of weight; log-odds"
                + " for which documents taught it (${DEFAULT-VALUE})")
    private String measure;

    @Option(
        names = "--lambda0",
        defaultValue = "0.1x",
        paramLabel = "L",
        description = "damping of whitening; with x: times each layer's mean Lambda")
    private String lambda0;

    @Option(names = "--shards", defaultValue = "1", paramLabel = "S")
    private int shards;

    @Option(names = "--shard", paramLabel = "N", description = "builds only this one, from 1")
    private Optional<Integer> shard = Optional.empty();

    @Option(
        names = "--lexical",
        description = "with the words of the documents beside it, for 'query --preselect bm25:N'")
    private boolean lexical;

    @Option(names = "--pack-tokens", defaultValue = "1024", description = "of one forward")
    private int packTokens;

    @Option(
        names = "--dtype",
        defaultValue = "fp32",
        paramLabel = "fp32|bf16",
        description =
            "of the layers' products; bf16 is faster where the processor has instructions for"
                + " it (${DEFAULT-VALUE})")
    private String dtype;

    @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
    private String device;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Index() {}

    @Override
    public Integer call() throws Exception {
      InputFile.check("--corpus", corpus);
      OutputPlace.check(output); // before the model is loaded
      OptionRange.atLeast("--pack-tokens", packTokens, 1);
      OptionRange.atLeast("--shards", shards, 1);
      OptionRange.check("--shard", shard.orElse(1), 1, shards);
      OptionRange.atLeast("--buckets", buckets, 0);
      IndexJob.Options given = usage(this::options);
      boolean rounded = usage(() -> IndexSettings.isRounded(dtype));
      CorpusFile file = new CorpusFile(corpus);
      Path path = Models.resolve(model);
      try (FactorFiles files = FactorFiles.open(factors);
          TappedModel opened = open(path, files.stage(), rounded);
          EkfacFactors read = files.like(opened)) {
        opened.workAloneIfSmall();
        IndexJob.Options options =
            buckets == 0
                ? given.withSketch(new BlockSketch(IndexJob.defaultBuckets(read), 1))
                : given;
        new IndexJob(opened, path, read, factors, file, output, options)
            .run(listener(ProgressBar.on(spec.commandLine().getErr()), file));
      }
      if (lexical) {
        for (int number = 1; number <= shards; number++) {
          if (shard.isEmpty() || shard.get() == number) {
            LexicalShard.buildIfMissing(
                ShardFile.open(ShardFile.path(output, number, shards)), file);
          }
        }
      }
      spec.commandLine().getOut().println(output);
      spec.commandLine().getOut().flush();
      return Whence.DONE;
    }

    private TappedModel open(Path path, EkfacFactors.Stage stage, boolean rounded) {
      LayerSelection selection = new LayerSelection(stage.layerSelection());
      return rounded
          ? TappedModel.openRounded(path, selection, engine(device))
          : TappedModel.open(path, selection, engine(device));
    }

    /**
     * All but the buckets that follow from the factors: wrong ones are said before these are read.
     */
    private IndexJob.Options options() {
      return new IndexJob.Options(
          Measure.of(measure),
          Damping.parse(lambda0),
          new BlockSketch(buckets == 0 ? IndexJob.FEWEST_BUCKETS : buckets, 1),
          shards,
          shard.map(OptionalInt::of).orElse(OptionalInt.empty()),
          packTokens,
          Duration.ofMinutes(1));
    }
  }

  /** {@code whence influence query}. */
  @Command(
      name = "query",
      description = "Says which documents of an index drove each response.",
      mixinStandardHelpOptions = true)
  static final class Query implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Mixin private InfluenceSearchOptions search = new InfluenceSearchOptions();

    @Option(names = "--input", required = true, paramLabel = "F.jsonl")
    private Path input;

    @Option(names = "--top", defaultValue = "10", description = "documents of each sign")
    private int top;

    @Option(names = "--by-layer", description = "with --json: parts of influences by layer")
    private boolean byLayer;

    @Option(names = "--by-token", description = "with --json: parts of influences by token")
    private boolean byToken;

    @Option(names = "--json", description = "one JSON object per response, nothing else")
    private boolean json;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Query() {}

    @Override
    public Integer call() throws Exception {
      InputFile.check(input);
      QueryOptions options = usage(() -> search.query(top, byLayer, byToken));
      PrintWriter out = spec.commandLine().getOut();
      PrintWriter err = spec.commandLine().getErr();
      AtomicInteger failed = new AtomicInteger();
      try (OpenedSearch opened = search.open()) {
        boolean clean =
            JsonLines.forEach(
                input,
                ConversationCodec::read,
                conversation -> {
                  answer(opened, conversation, options, out, failed);
                  Results.passOn(out);
                },
                (line, problem) -> err.println(input + ", line " + line + ": " + problem));
        if (failed.get() > 0) {
          err.println(
              "whence: " + failed.get() + " responses FAILED; their results say why (reason)");
        }
        return clean && failed.get() == 0 ? Whence.DONE : Whence.FAILED;
      }
    }

    private void answer(
        OpenedSearch opened,
        Conversation conversation,
        QueryOptions options,
        PrintWriter out,
        AtomicInteger failed) {
      String status;
      String reason;
      try {
        InfluenceResult result = opened.search().search(conversation, options);
        if (json) {
          out.println(InfluenceJson.write(result, options));
        } else {
          show(result, out);
        }
        return;
      } catch (InfluenceException e) {
        status = "FAILED";
        reason = String.valueOf(e.getMessage());
      } catch (EngineException e) {
        status = e.kind() == EngineException.Kind.UNSUPPORTED ? "UNSUPPORTED" : "FAILED";
        reason = String.valueOf(e.getMessage());
      }
      if (status.equals("FAILED")) {
        failed.incrementAndGet();
      }
      out.println(
          json
              ? InfluenceJson.failed(conversation.responseId(), status, reason)
              : DisplayText.clean(conversation.responseId() + ": " + status + ", " + reason));
    }

    private static void show(InfluenceResult result, PrintWriter out) {
      out.printf(
          Locale.ROOT,
          "%s: %s, log-likelihood %.2f nats, %d documents%n",
          DisplayText.clean(result.responseId()),
          result.method(),
          result.logLikelihood(),
          result.documents());
      show("more likely", result.positive(), out);
      show("less likely", result.negative(), out);
    }

    private static void show(String sign, List<DocumentInfluence> documents, PrintWriter out) {
      out.println("  made it " + sign + ":");
      for (DocumentInfluence one : documents) {
        out.printf(
            Locale.ROOT,
            "  %+.3e %s %-16s %s%n",
            one.influence(),
            one.exact() ? "nats" : String.format(Locale.ROOT, "(+- %.1e)", one.standardError()),
            DisplayText.clean(one.document().id()),
            DisplayText.clean(one.document().excerpt()));
      }
    }
  }
}
