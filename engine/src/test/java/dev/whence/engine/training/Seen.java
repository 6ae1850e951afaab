package dev.whence.engine.training;

import java.util.ArrayList;
import java.util.List;

/** What a run told, and a way to cut it off. */
class Seen implements TrainingRun.Listener {
  final List<StepReport> reports = new ArrayList<>();
  final List<Long> resumed = new ArrayList<>();
  final List<String> passedOver = new ArrayList<>();

  /** After this step the run ends as if its process did. */
  long stopAt = Long.MAX_VALUE;

  static final class CutOffException extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @Override
  public void stepped(StepReport report) {
    reports.add(report);
    if (report.step() == stopAt) {
      throw new CutOffException();
    }
  }

  @Override
  public void resumed(long step) {
    resumed.add(step);
  }

  @Override
  public void passedOver(String sentence) {
    passedOver.add(sentence);
  }
}
