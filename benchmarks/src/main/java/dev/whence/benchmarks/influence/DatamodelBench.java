package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.fidelity.Interval;
import dev.whence.benchmarks.fidelity.Ranking;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.files.FileTree;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.samples.Document;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * Whether influence says what retraining would do. The linear datamodeling score (Park et al.,
 * 2303.14186, section 2): two stages are trained on random halves of the documents; for each
 * response, the sum of the influences of the documents that were kept is compared with the
 * response's log-likelihood, by Spearman's rank correlation over the trainings. Then removal: what
 * a response loses when the documents that a method puts first are left out, against as many drawn
 * at random.
 */
public final class DatamodelBench {
  private static final int BUCKETS = 1 << 17; // more than the layers' elements: hardly a collision

  private DatamodelBench() {}

  /**
   * What to measure.
   *
   * @param work directory for models and factors
   * @param queries responses
   * @param subsets trainings on halves
   * @param removals responses of which the first documents are removed; 0: none
   * @param removed so many documents
   * @param atOnce trainings side by side
   * @param dampings lambda and alpha of EK-FAC, each tried
   */
  public record Options(
      Path work,
      int queries,
      int subsets,
      int removals,
      int removed,
      int atOnce,
      List<Damping> dampings) {
    public Options {
      dampings = List.copyOf(dampings);
      if (queries < 2 || subsets < 3 || removals < 0 || removed < 1 || atOnce < 1) {
        throw new IllegalArgumentException(
            "at least two queries, three subsets, one document to remove, one training at once");
      }
    }
  }

  /** Trains and measures. */
  public static DatamodelReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    Recipe base = Recipes.named("tiny-base").orElseThrow();
    List<Document> documents = Recipes.documents(base);
    List<TruthQuery> queries = KnownTruth.stated(base.world().get(), documents, options.queries());
    if (options.removed() >= documents.size()) {
      throw new IllegalArgumentException(
          "there are "
              + documents.size()
              + " documents: without "
              + options.removed()
              + " of them nothing is left to train on");
    }
    Path all = options.work().resolve("all");
    FileTree.delete(all); // a training that goes on from an earlier run's says nothing of its time
    TorchRuntime.workAlone(); // loads the native library, too: that is no part of a training
    long before = System.nanoTime();
    List<Path> models = Retraining.train(document -> true, all);
    double seconds = (System.nanoTime() - before) / 1e9;
    progress.accept("both stages trained on " + documents.size() + " documents");
    Map<String, double[][]> scores = scores(options, models, documents, queries, progress);

    Retraining retraining = new Retraining(options.work(), queries, options.atOnce());
    double[] whole = retraining.logLikelihoods(models.get(1));
    List<Set<String>> kept = halves(documents, options.subsets());
    double[][] found =
        retraining.run(
            kept.stream()
                .map(ids -> (Predicate<Document>) document -> ids.contains(document.id()))
                .toList(),
            progress);
    Map<String, Interval> lds = new LinkedHashMap<>();
    scores.forEach((method, values) -> lds.put(method, lds(values, documents, kept, found)));
    return new DatamodelReport(
        started,
        Machine.here(),
        documents.size(),
        queries.size(),
        options.subsets(),
        seconds,
        lds,
        options.removed(),
        removal(options, documents, best(scores, lds), whole, retraining, progress));
  }

  /** By method: [query][document]. */
  private static Map<String, double[][]> scores(
      Options options,
      List<Path> models,
      List<Document> documents,
      List<TruthQuery> queries,
      Consumer<String> progress)
      throws IOException {
    List<Recipe> recipes = Recipes.twoTinyStages(document -> true);
    Map<String, double[][]> scores = new LinkedHashMap<>();
    try (TrainedStages stages =
        new TrainedStages(
            new TrainedStages.Stage(recipes.get(0), models.get(0)),
            new TrainedStages.Stage(recipes.get(1), models.get(1)),
            options.work(),
            1,
            progress)) {
      InfluenceMethods methods = stages.methods(BUCKETS);
      for (Damping damping : options.dampings()) {
        for (DocumentScores method : methods.ekfac(damping, damping, Measure.LOG_LIKELIHOOD)) {
          if (method instanceof EkfacScores) { // a relative score is no prediction of a change
            scores.put(method.name() + ", damping " + damping.text(), of(method, queries));
          }
        }
      }
      for (DocumentScores method :
          methods.baselines(documents.stream().map(Document::text).toList())) {
        scores.put(method.name(), of(method, queries));
      }
    }
    return scores;
  }

  private static double[][] of(DocumentScores method, List<TruthQuery> queries) {
    return queries.stream().map(method::of).toArray(double[][]::new);
  }

  static List<Set<String>> halves(List<Document> documents, int count) {
    SplittableRandom random = new SplittableRandom(1);
    List<Set<String>> halves = new ArrayList<>();
    for (int s = 0; s < count; s++) {
      List<String> ids = new ArrayList<>(documents.stream().map(Document::id).toList());
      for (int i = ids.size() - 1; i > 0; i--) {
        Collections.swap(ids, i, random.nextInt(i + 1));
      }
      halves.add(Set.copyOf(ids.subList(0, ids.size() / 2)));
    }
    return halves;
  }

  static Interval lds(
      double[][] scores, List<Document> documents, List<Set<String>> kept, double[][] found) {
    List<Double> correlations = new ArrayList<>();
    for (int q = 0; q < scores.length; q++) {
      double[] predicted = new double[kept.size()];
      double[] actual = new double[kept.size()];
      for (int s = 0; s < predicted.length; s++) {
        for (int i = 0; i < documents.size(); i++) {
          predicted[s] += kept.get(s).contains(documents.get(i).id()) ? scores[q][i] : 0;
        }
        actual[s] = found[s][q];
      }
      correlations.add(Ranking.spearman(predicted, actual).orElse(0.0));
    }
    return Interval.of(correlations);
  }

  /** The best of EK-FAC by the score, and what needs no gradient. */
  private static Map<String, double[][]> best(
      Map<String, double[][]> scores, Map<String, Interval> lds) {
    Map<String, double[][]> chosen = new LinkedHashMap<>();
    for (String kind : List.of("EK-FAC, multi-stage", "gradient dot product", "BM25")) {
      scores.keySet().stream()
          .filter(name -> name.startsWith(kind))
          .max(Comparator.comparingDouble(name -> mean(lds, name)))
          .ifPresent(name -> chosen.put(name, scores.get(name)));
    }
    return chosen;
  }

  private static double mean(Map<String, Interval> lds, String name) {
    Interval interval = lds.get(name);
    return interval == null ? 0 : interval.mean();
  }

  /** Nats that responses lose, by method. */
  private static Map<String, Interval> removal(
      Options options,
      List<Document> documents,
      Map<String, double[][]> methods,
      double[] whole,
      Retraining retraining,
      Consumer<String> progress)
      throws IOException {
    int queries = Math.min(options.removals(), whole.length);
    SplittableRandom random = new SplittableRandom(2);
    Map<String, double[][]> all = new LinkedHashMap<>(methods);
    all.put(
        "at random",
        IntStream.range(0, whole.length)
            .mapToObj(q -> random.doubles(documents.size()).toArray())
            .toArray(double[][]::new));
    Map<String, Interval> losses = new LinkedHashMap<>();
    if (queries == 0) {
      return losses;
    }
    List<Predicate<Document>> kept = new ArrayList<>();
    Map<String, Integer> first = new HashMap<>();
    all.forEach(
        (name, scores) -> {
          first.put(name, kept.size());
          for (int q = 0; q < queries; q++) {
            Set<String> left = new HashSet<>();
            double[] ofQuery = scores[q];
            IntStream.range(0, documents.size())
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -ofQuery[i]))
                .limit(options.removed())
                .forEach(i -> left.add(documents.get(i).id()));
            kept.add(document -> !left.contains(document.id()));
          }
        });
    double[][] found = retraining.run(kept, progress);
    all.keySet()
        .forEach(
            name -> {
              List<Double> lost = new ArrayList<>();
              for (int q = 0; q < queries; q++) {
                lost.add(whole[q] - found[first.getOrDefault(name, 0) + q][q]);
              }
              losses.put(name, Interval.of(lost));
            });
    return losses;
  }
}
