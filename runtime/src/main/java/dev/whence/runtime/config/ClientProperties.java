package dev.whence.runtime.config;

import java.util.Map;
import java.util.TreeMap;

/**
 * Properties that pass through to a client. They may hold credentials: {@link #toString} names the
 * keys only.
 *
 * @param values by key
 */
public record ClientProperties(Map<String, String> values) {
  public static final ClientProperties NONE = new ClientProperties(Map.of());

  public ClientProperties {
    values = Map.copyOf(values);
  }

  /** These, overridden by others. */
  public ClientProperties with(Map<String, String> others) {
    Map<String, String> all = new TreeMap<>(values);
    all.putAll(others);
    return new ClientProperties(all);
  }

  @Override
  public String toString() {
    return "keys " + new TreeMap<>(values).keySet();
  }
}
