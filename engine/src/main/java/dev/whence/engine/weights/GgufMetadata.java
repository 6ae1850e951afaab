package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The key-value part of a GGUF file. Values are Long, Double, Boolean, String, {@code
 * List<String>}, {@code long[]} or {@code double[]}.
 */
final class GgufMetadata {
  private final Path path;
  private final Map<String, Object> values;

  GgufMetadata(Path path, Map<String, Object> values) {
    this.path = path;
    this.values = values;
  }

  Path path() {
    return path;
  }

  Map<String, Object> values() {
    return values;
  }

  boolean has(String key) {
    return values.containsKey(key);
  }

  Optional<String> text(String key) {
    return typed(key, String.class, "a string");
  }

  String requiredText(String key) {
    return text(key).orElseThrow(() -> missing(key));
  }

  Optional<Long> integer(String key) {
    return typed(key, Long.class, "an integer");
  }

  /** An integer in [minimum, maximum], required. */
  int size(String key, long minimum, long maximum) {
    long value = integer(key).orElseThrow(() -> missing(key));
    if (value < minimum || value > maximum) {
      throw refuse(key + " is " + value + ", not in [" + minimum + ", " + maximum + "]");
    }
    return (int) value;
  }

  Optional<Double> number(String key) {
    Object value = values.get(key);
    if (value instanceof Long whole) {
      return Optional.of((double) whole);
    }
    return typed(key, Double.class, "a number");
  }

  Optional<Boolean> flag(String key) {
    return typed(key, Boolean.class, "a boolean");
  }

  Optional<List<String>> texts(String key) {
    Object value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    if (!(value instanceof List<?> list)) {
      throw refuse(key + " is not a list of strings");
    }
    return Optional.of(list.stream().map(String.class::cast).toList());
  }

  Optional<long[]> integers(String key) {
    return typed(key, long[].class, "a list of integers");
  }

  Optional<double[]> numbers(String key) {
    return typed(key, double[].class, "a list of numbers");
  }

  EngineException refuse(String problem) {
    return new EngineException(EngineException.Kind.MODEL, path + ": " + problem);
  }

  EngineException missing(String key) {
    return refuse("the metadata lack " + key);
  }

  private <T> Optional<T> typed(String key, Class<T> type, String what) {
    Object value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    if (!type.isInstance(value)) {
      throw refuse(key + " is not " + what);
    }
    return Optional.of(type.cast(value));
  }
}
