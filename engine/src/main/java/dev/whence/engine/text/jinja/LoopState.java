package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Values.Callable;
import dev.whence.engine.text.jinja.Values.Undefined;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The variable {@code loop}. */
final class LoopState {
  private final List<@Nullable Object> items;
  private int index;

  LoopState(List<@Nullable Object> items) {
    this.items = items;
  }

  void at(int newIndex) {
    index = newIndex;
  }

  /** An attribute; errors call it by {@code shown}. */
  @Nullable Object attribute(String name, String shown) {
    long length = items.size();
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> length - index;
      case "revindex0" -> length - index - 1;
      case "first" -> index == 0;
      case "last" -> index == length - 1;
      case "length" -> length;
      case "previtem" -> index == 0 ? new Undefined("loop.previtem") : items.get(index - 1);
      case "nextitem" ->
          index == length - 1 ? new Undefined("loop.nextitem") : items.get(index + 1);
      case "cycle" -> (Callable) (positional, named) -> cycled(positional);
      default -> throw new JinjaException("'" + shown + "' of 'loop' is not supported");
    };
  }

  private @Nullable Object cycled(List<@Nullable Object> choices) {
    if (choices.isEmpty()) {
      throw new JinjaException("'loop.cycle' has nothing to choose from");
    }
    return choices.get(index % choices.size());
  }
}
