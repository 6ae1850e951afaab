package dev.whence.transfer.recycle;

import java.nio.file.Path;

/** Trains models, and says how well they do, both on what fine-tuning is for. */
public interface FineTuner {
  /**
   * Besides the model and the steps, what decides what is measured of a training: data and
   * parameters, or the recipe, and the questions; files by their content. Measurements of another
   * identity do not belong to the same curve.
   *
   * @param base index of the base version, from 0
   * @param from the model to go on from
   * @param steps to take
   */
  String identity(int base, Path from, long steps);

  /**
   * Measures a model as it is.
   *
   * @param base index of the base version that it belongs to, from 0
   * @throws RuntimeException if it can not be measured, in one sentence
   */
  Measurement measure(int base, Path model);

  /**
   * Fine-tunes a model. The same call goes on where a run was cut off, and is done at once where
   * nothing is left to do.
   *
   * @param base index of the base version that it belongs to, from 0
   * @param from the model to go on from; not changed
   * @param steps to take
   * @param output the fine-tuned model's directory
   * @param measured hears of the model at some steps, the last one among them; in a run that goes
   *     on, of those after that, and of the checkpoint itself where it has no measurement
   * @throws RuntimeException if it fails, in one sentence
   */
  void fineTune(int base, Path from, long steps, Path output, Measured measured);

  /** What was measured of a run so far. */
  interface Measured {
    boolean has(long step);

    void add(Measurement measurement);
  }
}
