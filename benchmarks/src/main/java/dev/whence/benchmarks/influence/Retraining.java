package dev.whence.benchmarks.influence;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.files.FileTree;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.samples.Document;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * What responses' log-likelihoods become when two stages are trained without some documents, see
 * {@link Recipes#twoTinyStages}.
 *
 * @param work directory for models; each is removed when it was asked
 * @param queries that are asked
 * @param atOnce so many trainings side by side
 */
record Retraining(Path work, List<TruthQuery> queries, int atOnce) {

  /** Trains both stages. */
  static List<Path> train(Predicate<Document> kept, Path directory) throws IOException {
    List<Path> models = new ArrayList<>();
    for (Recipe recipe : Recipes.twoTinyStages(kept)) {
      Path model = directory.resolve(recipe.name());
      Optional<Path> from = models.isEmpty() ? Optional.empty() : Optional.of(models.get(0));
      new RecipeRun(recipe, model).run(from, SILENT);
      models.add(model);
    }
    return models;
  }

  /**
   * Log-likelihoods [run][query], nats.
   *
   * @param kept the documents of each run
   */
  double[][] run(List<Predicate<Document>> kept, Consumer<String> progress) throws IOException {
    ExecutorService workers = Executors.newFixedThreadPool(atOnce);
    try {
      List<Future<double[]>> runs = new ArrayList<>();
      for (int i = 0; i < kept.size(); i++) {
        Path directory = work.resolve("run-" + i);
        Predicate<Document> one = kept.get(i);
        runs.add(workers.submit((Callable<double[]>) () -> trainAndAsk(one, directory)));
      }
      double[][] found = new double[kept.size()][];
      for (int i = 0; i < found.length; i++) {
        found[i] = runs.get(i).get();
        progress.accept("trained " + (i + 1) + " of " + found.length);
      }
      return found;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("the trainings were interrupted", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("a training failed", e.getCause());
    } finally {
      workers.shutdownNow();
    }
  }

  private double[] trainAndAsk(Predicate<Document> kept, Path directory) throws IOException {
    TorchRuntime.workAlone(); // this thread has done nothing natively before
    FileTree.delete(directory); // of a run that was cut off
    List<Path> models = train(kept, directory);
    double[] found = logLikelihoods(models.get(1));
    FileTree.delete(directory);
    return found;
  }

  /** Of the queries' responses, nats. */
  double[] logLikelihoods(Path path) {
    EngineOptions engine = EngineOptions.defaults().withDevice("cpu");
    try (TappedModel model = TappedModel.open(path, LayerSelection.ALL, engine)) {
      return queries.stream()
          .mapToDouble(
              query ->
                  ResponseGradient.of(
                          model,
                          model.texts().conversation(query.answered()),
                          Measure.LOG_LIKELIHOOD)
                      .logLikelihood())
          .toArray();
    }
  }

  private static final RecipeRun.Listener SILENT =
      new RecipeRun.Listener() {
        @Override
        public void stepped(StepReport report) {}

        @Override
        public void evaluated(long step, Map<String, Score> scores) {}
      };
}
