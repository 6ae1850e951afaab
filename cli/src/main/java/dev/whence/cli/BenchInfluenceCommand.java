package dev.whence.cli;

import dev.whence.benchmarks.influence.InfluenceBench;
import dev.whence.benchmarks.influence.LargeBench;
import dev.whence.benchmarks.influence.RecallBench;
import dev.whence.benchmarks.influence.ScanBench;
import dev.whence.benchmarks.influence.WorkersBench;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.LayerSelection;
import dev.whence.samples.BundledModels;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Whether influence finds the documents that taught a fact. */
@Command(
    name = "influence",
    description =
        "Whether influence finds the documents that taught chat-v1 a fact, beside cheaper ways.",
    mixinStandardHelpOptions = true)
final class BenchInfluenceCommand implements Callable<Integer> {
  /** Of a sketch. */
  private static final int MOST_BUCKETS = 1 << 20;

  private static final int SCANNED = 100_000;
  private static final int LARGE_DOCUMENTS = 8;
  private static final int WORKERS_DOCUMENTS = 2000;
  private static final int WORKERS_ROUNDS = 3;
  private static final int LARGE_PROMPT = 448;
  private static final int LARGE_RESPONSE = 64;
  private static final String LARGE_LAYERS =
      "layers\\.31\\.(attention\\.dense|mlp\\.dense_4h_to_h)";

  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(
      names = "--directory",
      defaultValue = "whence-data/bench-influence",
      paramLabel = "D",
      description = "keeps factors for the next run (default: ${DEFAULT-VALUE})")
  private Path directory;

  @Option(
      names = "--queries",
      defaultValue = "60",
      paramLabel = "N",
      description = "facts that are asked, at most (default: ${DEFAULT-VALUE})")
  private int queries;

  @Option(
      names = "--buckets",
      defaultValue = "16384",
      paramLabel = "K",
      description = "numbers of a sketch (default: ${DEFAULT-VALUE})")
  private int buckets;

  @Option(
      names = "--every",
      defaultValue = "40",
      paramLabel = "N",
      description =
          "factors are of every Nth step of training (default: ${DEFAULT-VALUE}); 1: of all")
  private int every;

  @Option(
      names = "--lambda",
      split = ",",
      defaultValue = "0.1x",
      paramLabel = "L",
      description = "damping; several, separated by commas, are tried (default: ${DEFAULT-VALUE})")
  private List<String> lambdas = List.of();

  @Option(
      names = "--baselines",
      description = "leaves out EK-FAC: only what it is measured against")
  private boolean baselines;

  @Option(
      names = "--alpha",
      defaultValue = "1x",
      paramLabel = "A",
      description = "of fine-tuning (default: ${DEFAULT-VALUE})")
  private String alpha;

  @Option(
      names = "--recall",
      description = "instead: recall of sketches of 1/50 to 1/1600 against whole gradients")
  private boolean recall;

  @Option(
      names = "--scan",
      description =
          "instead: how long an index of --documents, --buckets is scanned, of random signs")
  private boolean scan;

  @Option(
      names = "--large",
      description =
          "instead: time and memory of factors, a gradient and its preconditioning on a random"
              + " model with the shape of dolly-v2-3b (20 GiB of memory, 10 of disk)")
  private boolean large;

  @Option(
      names = "--workers",
      description = "instead: what a second worker saves of factors and of an index of chat-v1")
  private boolean workers;

  @Option(
      names = "--layers",
      defaultValue = LARGE_LAYERS,
      paramLabel = "L",
      description = "with --large: mlp, attention, all, or a pattern (default: ${DEFAULT-VALUE})")
  private String layers = LARGE_LAYERS;

  @Option(
      names = "--documents",
      defaultValue = "0",
      paramLabel = "N",
      description =
          "with --recall: so many, spread over the corpus (default: all); with --scan: of the index"
              + " (100000); with --large: of the factors (8); with --workers: of the corpus (2000)")
  private int documents;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchInfluenceCommand() {}

  @Override
  public Integer call() throws Exception {
    OptionRange.check("--buckets", buckets, 1, MOST_BUCKETS);
    if (Stream.of(recall, scan, large, workers).filter(one -> one).count() > 1) {
      throw new UsageException("--recall, --scan, --large and --workers are measured one by one");
    }
    if (recall && lambdas.size() > 1) {
      throw new UsageException("--recall takes one --lambda, not " + lambdas.size());
    }
    if (scan) {
      output.measure(
          spec,
          () -> new ScanBench.Options(directory, documents == 0 ? SCANNED : documents, buckets),
          ScanBench::run);
      return Whence.DONE;
    }
    if (workers) {
      output.measure(
          spec,
          () ->
              new WorkersBench.Options(
                  directory,
                  BundledModels.CHAT,
                  documents == 0 ? WORKERS_DOCUMENTS : documents,
                  WORKERS_ROUNDS),
          WorkersBench::run);
      return Whence.DONE;
    }
    if (large) {
      output.measure(
          spec,
          () ->
              new LargeBench.Options(
                  directory,
                  LargeBench.Shape.DOLLY_V2_3B,
                  new LayerSelection(layers),
                  documents == 0 ? LARGE_DOCUMENTS : documents,
                  LARGE_PROMPT,
                  LARGE_RESPONSE),
          LargeBench::run);
      return Whence.DONE;
    }
    if (recall) {
      output.measure(
          spec,
          () ->
              new RecallBench.Options(
                  directory,
                  queries,
                  documents,
                  every,
                  Damping.parse(lambdas.get(0)),
                  Damping.parse(alpha)),
          RecallBench::run);
      return Whence.DONE;
    }
    output.measure(
        spec,
        () ->
            new InfluenceBench.Options(
                directory,
                queries,
                buckets,
                every,
                baselines ? List.of() : lambdas.stream().map(Damping::parse).toList(),
                Damping.parse(alpha)),
        InfluenceBench::run);
    return Whence.DONE;
  }
}
