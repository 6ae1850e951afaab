package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.engine.EngineOptions;
import dev.whence.files.FileTree;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * What a second worker saves of factors and of an index. One worker does all of it, then each of
 * two its share, one after the other, as if each had this machine for itself; the time of two is
 * that of a timeline in which they work side by side and wait for each other where they have to:
 *
 * <pre>
 *   factors   max(covariances 1, covariances 2) + their sum and eigenvectors
 *             + max(Lambda 1, Lambda 2) + their sum
 *   index     max(shard 1, shard 2)
 * </pre>
 *
 * The sums and the eigenvectors are made once, however many workers there are.
 */
public final class WorkersBench {
  private static final int WORKERS = 2;
  private static final String COVARIANCES = "covariances";
  private static final String EIGENVECTORS = "eigenvectors";
  private static final String LAMBDA = "Lambda";

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
      SampleCorpus.write(corpus, options.model(), options.documents());
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
          FileTree.delete(here);
        }
      }
      return new WorkersReport(started, Machine.here(), options.model(), rounds);
    } finally {
      FileTree.delete(work);
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
      double covariances = Math.max(first.seconds, second.end(COVARIANCES));
      double lambda =
          Math.max(last.end(LAMBDA), second.seconds - second.end(EIGENVECTORS)); // and its writing
      return new WorkersReport.Comparison(
          whole.seconds,
          covariances + second.eigenvectors() + lambda + last.seconds - last.end(LAMBDA),
          whole.eigenvectors(),
          whole.tokens,
          List.of(first.tokens + last.tokens, second.tokens));
    }

    /** Goes as far as it can. */
    private Watch factors(Path output, Share share, boolean completes) {
      FactorsJob job =
          new FactorsJob(model, corpus, output, FactorsJob.Options.DEFAULT.withShare(share));
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
    private final Map<String, Double> ends = new HashMap<>();
    private final Map<String, Progress> done = new HashMap<>();
    private final long began = System.nanoTime();

    static Watch of(Consumer<Watch> job) {
      Watch watch = new Watch();
      job.accept(watch);
      watch.seconds = watch.elapsed();
      watch.tokens = watch.done.values().stream().mapToDouble(Progress::weight).sum();
      return watch;
    }

    private double elapsed() {
      return (System.nanoTime() - began) / 1e9;
    }

    /** Seconds from the begin to the last that was heard of a pass. */
    double end(String pass) {
      Double end = ends.get(pass);
      if (end == null) {
        throw new IllegalStateException("there was no pass '" + pass + "' but " + ends.keySet());
      }
      return end;
    }

    double eigenvectors() {
      return end(EIGENVECTORS) - end(COVARIANCES);
    }

    @Override
    public void pass(String name, long bytesDone, Progress progress) {
      ends.put(name, elapsed());
      if (!name.equals(EIGENVECTORS)) {
        done.put(name, progress);
      }
    }
  }
}
