package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.engine.EngineOptions;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.recipes.RecipeTexts;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * What a second worker saves of factors and of an index. One worker does all of it, then each of
 * two its share, one after the other, as if each had this machine for itself; the time of two is
 * that of a timeline in which they work side by side and wait for each other where they have to:
 *
 * <pre>
 *   factors   max(covariances 1, covariances 2) + eigenvectors + max(Lambda 1 and sum, Lambda 2)
 *   index     max(shard 1, shard 2)
 * </pre>
 *
 * The eigenvectors are made once, however many workers there are.
 */
public final class WorkersBench {
  private static final int WORKERS = 2;

  private WorkersBench() {}

  /**
   * What to measure.
   *
   * @param directory for factors and indexes, removed in the end
   * @param model that comes along
   * @param documents of its corpus, at most; at least one for each worker
   * @param rounds in which one worker and two take turns
   */
  public record Options(Path directory, String model, int documents, int rounds) {
    public Options {
      if (documents < WORKERS || rounds < 1) {
        throw new IllegalArgumentException(
            documents + " documents in " + rounds + " rounds: at least " + WORKERS + " in one");
      }
    }
  }

  /** Measures. */
  public static WorkersReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    Path work = Files.createTempDirectory(Files.createDirectories(options.directory()), "workers");
    try {
      Path directory = BundledModels.unpack(options.model());
      Path corpus = work.resolve("corpus.jsonl");
      write(corpus, options);
      List<WorkersReport.Round> rounds = new ArrayList<>();
      try (TappedModel model =
          TappedModel.open(directory, LayerSelection.ALL, EngineOptions.defaults())) {
        Jobs jobs = new Jobs(model, directory, new CorpusFile(corpus));
        for (int round = 0; round <= options.rounds(); round++) {
          progress.accept(round == 0 ? "once, uncounted" : "round " + round);
          Path here = work.resolve("round-" + round);
          WorkersReport.Round measured =
              new WorkersReport.Round(jobs.factors(here), jobs.index(here));
          if (round > 0) {
            rounds.add(measured);
          }
          remove(here);
        }
      }
      return new WorkersReport(started, Machine.here(), options.model(), rounds);
    } finally {
      remove(work);
    }
  }

  private static void write(Path corpus, Options options) throws IOException {
    Path all = corpus.resolveSibling("documents.jsonl");
    new RecipeTexts(Recipes.named(options.model()).orElseThrow()).writeDocuments(all);
    try (Stream<String> lines = Files.lines(all)) {
      Files.write(corpus, lines.limit(options.documents()).toList());
    }
  }

  private static void remove(Path directory) {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The jobs of one and of two workers. */
  private record Jobs(TappedModel model, Path directory, CorpusFile corpus) {

    WorkersReport.Comparison factors(Path here) {
      Watch whole = factors(here.resolve("whole"), Share.ALL, true);
      Path shared = here.resolve("shared");
      Watch first = factors(shared, new Share(1, WORKERS), false);
      Watch second = factors(shared, new Share(2, WORKERS), false); // and the eigenvectors
      Watch last = factors(shared, new Share(1, WORKERS), true);
      return new WorkersReport.Comparison(
          whole.seconds,
          Math.max(first.seconds, second.untilEigenvectors)
              + second.eigenvectors()
              + Math.max(last.seconds, second.afterEigenvectors()),
          whole.eigenvectors(),
          whole.tokens,
          List.of(first.tokens + last.tokens, second.tokens));
    }

    /** Goes as far as it can. */
    private Watch factors(Path output, Share share, boolean completes) {
      FactorsJob job =
          new FactorsJob(
              model, corpus, output, FactorsJob.Options.DEFAULT.withShare(share).withSeed(1));
      return Watch.of(
          watch -> {
            if (job.run(watch) != completes) {
              throw new IllegalStateException(
                  "part " + share.part() + (completes ? " ended early" : " did not wait"));
            }
          });
    }

    WorkersReport.Comparison index(Path here) {
      Path path = here.resolve("whole");
      try (EkfacFactors factors = EkfacFactors.read(path, model.matrices())) {
        Watch whole = shard(factors, path, here.resolve("index"), 1, 1);
        Path shared = here.resolve("shared-index");
        Watch first = shard(factors, path, shared, 1, WORKERS);
        Watch second = shard(factors, path, shared, 2, WORKERS);
        return new WorkersReport.Comparison(
            whole.seconds,
            Math.max(first.seconds, second.seconds),
            0,
            whole.tokens,
            List.of(first.tokens, second.tokens));
      }
    }

    private Watch shard(EkfacFactors factors, Path read, Path output, int shard, int shards) {
      IndexJob job =
          new IndexJob(
              model,
              directory,
              factors,
              read,
              corpus,
              output,
              IndexJob.Options.of(IndexJob.defaultBuckets(factors))
                  .withShards(shards, OptionalInt.of(shard)));
      return Watch.of(job::run);
    }
  }

  /** Takes the time of a job and counts its tokens. */
  private static final class Watch implements FactorsJob.Listener {
    double seconds;
    double tokens;
    double untilEigenvectors;
    private double untilLastEigenvectors;
    private String pass = "";
    private Progress done = Progress.NONE;
    private final Supplier<Double> elapsed;

    private Watch() {
      long began = System.nanoTime();
      elapsed = () -> (System.nanoTime() - began) / 1e9;
    }

    static Watch of(Consumer<Watch> job) {
      Watch watch = new Watch();
      job.accept(watch);
      watch.seconds = watch.elapsed.get();
      watch.tokens += watch.done.weight();
      return watch;
    }

    double eigenvectors() {
      return untilLastEigenvectors - untilEigenvectors;
    }

    double afterEigenvectors() {
      return seconds - untilLastEigenvectors;
    }

    @Override
    public void note(String sentence) {
      if (sentence.startsWith("eigenvectors")) {
        untilEigenvectors = elapsed.get();
      }
    }

    @Override
    public void pass(String name, long bytesDone, Progress progress) {
      if (name.equals("eigenvectors")) {
        untilLastEigenvectors = elapsed.get();
        return;
      }
      if (!name.equals(pass)) {
        tokens += done.weight();
        pass = name;
      }
      done = progress;
    }
  }
}
