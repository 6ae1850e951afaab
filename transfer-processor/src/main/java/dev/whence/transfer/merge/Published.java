package dev.whence.transfer.merge;

import java.nio.file.Path;
import java.util.List;

/**
 * A transfer that is done.
 *
 * @param planId of its plan
 * @param models one for each lambda
 * @param before whether an earlier run had published it already
 */
public record Published(String planId, List<Model> models, boolean before) {

  /** A model on disk. */
  public record Model(Path directory, Manifest manifest) {}

  public Published {
    models = List.copyOf(models);
  }
}
