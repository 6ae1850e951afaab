package dev.whence.engine.weights;

import java.util.List;

/** Everything that is wrong with a model, in one message that stays readable. */
final class Contradictions {
  private static final int SHOWN = 20;

  private Contradictions() {}

  static String list(List<String> problems) {
    String shown = String.join("; ", problems.subList(0, Math.min(SHOWN, problems.size())));
    return problems.size() <= SHOWN
        ? shown
        : shown + "; and " + (problems.size() - SHOWN) + " more";
  }
}
