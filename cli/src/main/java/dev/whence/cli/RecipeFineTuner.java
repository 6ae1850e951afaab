package dev.whence.cli;

import dev.whence.engine.training.Score;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.transfer.recycle.FineTuner;
import dev.whence.transfer.recycle.Measurement;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Fine-tuning by recipe, with the recipe's own questions as the measure. */
final class RecipeFineTuner implements FineTuner {
  private final List<Recipe> recipes;
  private final long measurements;
  private final ProgressBar bar;

  /**
   * @param recipes one for each base version
   * @param measurements of a training, at even distances
   */
  RecipeFineTuner(List<Recipe> recipes, long measurements, ProgressBar bar) {
    this.recipes = recipes;
    this.measurements = measurements;
    this.bar = bar;
  }

  @Override
  public String identity(int base, Path from, long steps) {
    Recipe recipe = recipes.get(base);
    return "recipe " + recipe.name() + ", seed " + recipe.seed() + ", of " + recipe.steps();
  }

  @Override
  public Measurement measure(int base, Path model) {
    Recipe recipe = recipes.get(base);
    Map<String, Score> scores = RecipeRun.evaluate(recipe, model);
    new TrainingProgress(bar, 0).evaluated(0, scores);
    return Measurement.of(0, RecipeRun.purpose(recipe, scores));
  }

  @Override
  public void fineTune(int base, Path from, long steps, Path output, Measured measured) {
    Recipe recipe = recipes.get(base);
    Recipe shortened =
        recipe.shortened(steps).withCheckpointEvery(Math.max(1, steps / measurements));
    new RecipeRun(shortened, output)
        .run(
            Optional.of(from),
            new TrainingProgress(bar, steps) {
              @Override
              public boolean asksAgain(long step) {
                return (step % shortened.checkpointEvery() == 0 || step == steps)
                    && !measured.has(step);
              }

              @Override
              public void evaluated(long step, Map<String, Score> scores) {
                super.evaluated(step, scores);
                measured.add(Measurement.of(step, RecipeRun.purpose(recipe, scores)));
              }
            });
  }
}
