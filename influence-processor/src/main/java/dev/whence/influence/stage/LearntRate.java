package dev.whence.influence.stage;

/** A rate that is guessed until it was measured, and then follows what is measured. */
final class LearntRate {
  private static final double WEIGHT = 0.2;

  private double value;
  private boolean measured;

  LearntRate(double guess) {
    this.value = guess;
  }

  double value() {
    return value;
  }

  /** One measurement; the first takes the place of the guess. */
  void add(double one) {
    value = measured ? value + WEIGHT * (one - value) : one;
    measured = true;
  }
}
