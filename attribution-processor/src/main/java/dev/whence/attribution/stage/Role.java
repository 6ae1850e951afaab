package dev.whence.attribution.stage;

import dev.whence.schemas.avro.ModelRole;

/** Which part of the work a processor does. */
public enum Role {
  /** Scores every response at once, often with a proxy of the production model. */
  FAST("attribution-fast", "whence-attribution", ModelRole.FAST),
  /** Scores what the FAST role is not sure about, with the model that counts. */
  TARGET("attribution-target", "whence-attribution-target", ModelRole.TARGET);

  private final String stage;
  private final String group;
  private final ModelRole releases;

  Role(String stage, String group, ModelRole releases) {
    this.stage = stage;
    this.group = group;
    this.releases = releases;
  }

  /** Name of the stage in headers and metrics. */
  String stage() {
    return stage;
  }

  /** Consumer group where none is configured. */
  public String defaultGroup() {
    return group;
  }

  /** The model releases that it follows. */
  ModelRole releases() {
    return releases;
  }
}
