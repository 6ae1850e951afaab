package dev.whence.engine.kernel;

/** Which tokens a loss is about. */
public sealed interface Labels {
  /** The documents' own: gradients are those of training. */
  record Given() implements Labels {
    @Override
    public double[] uniforms(int scored) {
      return new double[0];
    }
  }

  /**
   * Tokens drawn from the model's own predictions: squares of their gradients are the true Fisher
   * information, those of the documents' tokens only the empirical one.
   *
   * @param uniforms per scored token, in [0, 1): what it is drawn with
   */
  @SuppressWarnings("ArrayRecordComponent") // handed to the kernel; compared nowhere
  record Drawn(double[] uniforms) implements Labels {
    @Override
    public double[] uniforms(int scored) {
      if (uniforms.length != scored) {
        throw new IllegalArgumentException(
            scored + " tokens are scored, and there are " + uniforms.length + " uniforms");
      }
      return uniforms;
    }
  }

  /** For the kernel: empty where the labels are given. */
  double[] uniforms(int scored);
}
