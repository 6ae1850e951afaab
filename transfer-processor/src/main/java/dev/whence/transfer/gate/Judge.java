package dev.whence.transfer.gate;

import java.nio.file.Path;

/** Says how well a model predicts a set of texts. */
public interface Judge {
  /**
   * The mean loss of a model.
   *
   * @param model a directory
   * @param set a JSONL file
   * @return nats per token, finite and not negative
   * @throws dev.whence.transfer.TransferException if it can not be measured
   */
  double loss(Path model, Path set);
}
