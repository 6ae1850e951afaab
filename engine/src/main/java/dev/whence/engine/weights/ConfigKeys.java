package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/** Typed reading of a JSON object that collects what is wrong instead of stopping at the first. */
final class ConfigKeys {
  private final JsonNode object;
  private final String prefix;
  private final List<String> problems;

  ConfigKeys(JsonNode object, String prefix, List<String> problems) {
    this.object = object;
    this.prefix = prefix;
    this.problems = problems;
  }

  ConfigKeys(JsonNode object) {
    this(object, "", new ArrayList<>());
  }

  List<String> problems() {
    return problems;
  }

  void problem(String text) {
    problems.add(text);
  }

  /** Whether the key is there; null counts. */
  boolean has(String key) {
    return object.has(key);
  }

  /** Whether the key is there and not null. */
  boolean isSet(String key) {
    return object.hasNonNull(key);
  }

  JsonNode node(String key) {
    return object.path(key);
  }

  ConfigKeys child(String key) {
    return new ConfigKeys(object.path(key), prefix + key + ".", problems);
  }

  int required(String key, int minimum, int maximum) {
    if (!isSet(key)) {
      problem(prefix + key + " is missing");
      return minimum;
    }
    return integer(key, minimum, minimum, maximum);
  }

  /** An integer in [minimum, maximum], the fallback where the key is absent or null. */
  int integer(String key, int fallback, int minimum, int maximum) {
    JsonNode node = object.path(key);
    if (!isSet(key)) {
      return fallback;
    }
    if (!node.isIntegralNumber() || !node.canConvertToLong()) {
      problem(prefix + key + " is not an integer");
      return fallback;
    }
    long value = node.longValue();
    if (value < minimum || value > maximum) {
      problem(prefix + key + " is " + value + ", not in [" + minimum + ", " + maximum + "]");
      return fallback;
    }
    return (int) value;
  }

  /** A finite number above zero. */
  double positive(String key, double fallback) {
    JsonNode node = object.path(key);
    if (!isSet(key)) {
      return fallback;
    }
    if (!node.isNumber() || !(node.doubleValue() > 0) || Double.isInfinite(node.doubleValue())) {
      problem(prefix + key + " is not a positive number");
      return fallback;
    }
    return node.doubleValue();
  }

  double requiredPositive(String key) {
    if (!isSet(key)) {
      problem(prefix + key + " is missing");
      return 1;
    }
    return positive(key, 1);
  }

  boolean flag(String key, boolean fallback) {
    JsonNode node = object.path(key);
    if (!isSet(key)) {
      return fallback;
    }
    if (!node.isBoolean()) {
      problem(prefix + key + " is not true or false");
      return fallback;
    }
    return node.booleanValue();
  }

  String text(String key, String fallback) {
    JsonNode node = object.path(key);
    if (!isSet(key)) {
      return fallback;
    }
    if (!node.isTextual()) {
      problem(prefix + key + " is not a string");
      return fallback;
    }
    return node.textValue();
  }

  /** One id, a list of ids, or none. */
  List<Integer> ids(String key, int vocabulary) {
    JsonNode node = object.path(key);
    List<Integer> ids = new ArrayList<>();
    if (!isSet(key)) {
      return ids;
    }
    Iterable<JsonNode> nodes = node.isArray() ? node : List.of(node);
    for (JsonNode id : nodes) {
      if (!id.isIntegralNumber()
          || !id.canConvertToInt()
          || id.intValue() < 0
          || id.intValue() >= vocabulary) {
        problem(prefix + key + " has an id that is not in [0, " + vocabulary + ")");
      } else if (!ids.contains(id.intValue())) {
        ids.add(id.intValue());
      }
    }
    return ids;
  }
}
