package dev.whence.influence.ekfac;

import dev.whence.influence.InfluenceException;

/** How the second moments of gradients in the eigenbasis are estimated. */
public enum LambdaForm {
  /** (1/N) sum over sequences of (Q_S' G Q_A)^2 with G a sequence's gradient: exact. */
  PER_SEQUENCE("per-sequence"),
  /**
   * (1/N) (D * D)' (A * A) with D = d Q_S and A = a Q_A, elementwise squares: one matrix product,
   * of lower variance, but exact only where no token meets another after the layer.
   */
  PER_TOKEN("per-token");

  private final String label;

  LambdaForm(String label) {
    this.label = label;
  }

  /** As it stands in files and on the command line. */
  public String label() {
    return label;
  }

  /** The form of a label. */
  public static LambdaForm of(String label) {
    for (LambdaForm form : values()) {
      if (form.label.equals(label)) {
        return form;
      }
    }
    throw new InfluenceException(
        "lambda form \"" + label + "\" is neither per-sequence nor per-token");
  }
}
