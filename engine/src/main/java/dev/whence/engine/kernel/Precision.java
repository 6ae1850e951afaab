package dev.whence.engine.kernel;

/** Element type of weights, keys, values, activations and sums. */
enum Precision {
  BF16("bf16", 15, 2),
  FP32("fp32", 6, 4),
  FP64("fp64", 7, 8);

  private final String label;
  private final int code;
  private final int bytes;

  Precision(String label, int code, int bytes) {
    this.label = label;
    this.code = code;
    this.bytes = bytes;
  }

  /** As it stands in results. */
  String label() {
    return label;
  }

  /** PyTorch's number of the type (c10/core/ScalarType.h). */
  int code() {
    return code;
  }

  int bytes() {
    return bytes;
  }
}
