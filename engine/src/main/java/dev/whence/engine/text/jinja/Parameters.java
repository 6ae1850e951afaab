package dev.whence.engine.text.jinja;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The arguments of one call, by position or name; whatever is left over is an error. */
final class Parameters {
  private final String callee;
  private final List<@Nullable Object> positional;
  private final Map<String, @Nullable Object> named;
  private final Set<String> used = new HashSet<>();
  private int highest;

  /**
   * @param callee for messages: a name that stands in the template, since one that was computed may
   *     be a value of the record
   */
  Parameters(
      String callee, List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
    this.callee = callee;
    this.positional = positional;
    this.named = named;
  }

  String callee() {
    return callee;
  }

  boolean has(int index, String name) {
    return index < positional.size() || named.containsKey(name);
  }

  @Nullable Object get(int index, String name, @Nullable Object fallback) {
    highest = Math.max(highest, index + 1);
    used.add(name);
    if (index < positional.size()) {
      return positional.get(index);
    }
    return named.containsKey(name) ? named.get(name) : fallback;
  }

  @Nullable Object required(int index, String name) {
    if (!has(index, name)) {
      throw new JinjaException("'" + callee + "' lacks its argument " + name);
    }
    return get(index, name, null);
  }

  List<@Nullable Object> positional() {
    highest = positional.size();
    return positional;
  }

  /** Ends the reading: an argument that was not asked for is one that is not supported. */
  void done() {
    if (positional.size() > highest) {
      throw new JinjaException("'" + callee + "' has more arguments than are supported");
    }
    for (String name : named.keySet()) {
      if (!used.contains(name)) {
        throw new JinjaException(
            "the argument '" + name + "' of '" + callee + "' is not supported");
      }
    }
  }
}
