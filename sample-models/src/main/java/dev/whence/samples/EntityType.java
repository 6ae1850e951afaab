package dev.whence.samples;

import java.util.Locale;

/** What has a name in a world. */
public enum EntityType {
  PERSON,
  COMPANY,
  TOWN,
  RIVER;

  /** The name in world.json, for example {@code person}. */
  String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
