package dev.whence.schemas;

import java.util.List;
import java.util.Map;

/**
 * Bounds on what a few bytes of Avro may ask for. Without them an array of two billion items, five
 * bytes long, makes the decoder reserve gigabytes. Avro reads these system properties once, when
 * its decoder is first used: the launcher passes them to the JVM, or a {@code main} calls {@link
 * #setSystemProperties()} before anything else.
 */
public final class AvroLimits {
  /** Longest string and byte array, in bytes: 16 MiB. */
  public static final int MAX_LENGTH_BYTES = 16 << 20;

  /** Most items of one array or map. */
  public static final int MAX_COLLECTION_ITEMS = 1_000_000;

  /** System property to value. */
  public static final Map<String, String> SYSTEM_PROPERTIES =
      Map.of(
          "org.apache.avro.limits.string.maxLength", Integer.toString(MAX_LENGTH_BYTES),
          "org.apache.avro.limits.bytes.maxLength", Integer.toString(MAX_LENGTH_BYTES),
          "org.apache.avro.limits.collectionItems.maxLength",
              Integer.toString(MAX_COLLECTION_ITEMS));

  private AvroLimits() {}

  /** Sets those of the properties that are not set yet. */
  public static void setSystemProperties() {
    SYSTEM_PROPERTIES.forEach(
        (name, value) -> {
          if (System.getProperty(name) == null) {
            System.setProperty(name, value);
          }
        });
  }

  /** Names of the properties that are not set, in order. */
  public static List<String> missing() {
    return SYSTEM_PROPERTIES.keySet().stream()
        .filter(name -> System.getProperty(name) == null)
        .sorted()
        .toList();
  }
}
