package dev.whence.cli;

import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.samples.recipes.RecipeRun;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** How far a training is: a bar, and a line now and then. */
class TrainingProgress implements RecipeRun.Listener {
  private static final int REPORT_EVERY = 100;

  private final ProgressBar bar;
  private final long total;
  private long tokens;

  /**
   * @param total steps
   */
  TrainingProgress(ProgressBar bar, long total) {
    this.bar = bar;
    this.total = total;
  }

  @Override
  public void stepped(StepReport report) {
    tokens += report.tokens();
    bar.show(report.step(), total, tokens, "tokens");
    if (report.step() % REPORT_EVERY == 0 || report.step() == total) {
      bar.note(
          String.format(
              Locale.ROOT,
              "step %d of %d: loss %.4f nats, gradient norm %.2f, learning rate %.2e",
              report.step(),
              total,
              report.loss(),
              report.gradientNorm(),
              report.rate()));
    }
    if (report.step() == total) {
      bar.finish();
    }
  }

  @Override
  public void evaluated(long step, Map<String, Score> scores) {
    bar.note(
        scores.entrySet().stream()
            .map(set -> String.format(Locale.ROOT, "%s %.2f", set.getKey(), set.getValue().share()))
            .collect(Collectors.joining(", ", "  right answers: ", "")));
  }

  @Override
  public void resumed(long step) {
    bar.note("going on from the checkpoint of step " + step);
  }

  @Override
  public void passedOver(String sentence) {
    bar.note(sentence);
  }
}
