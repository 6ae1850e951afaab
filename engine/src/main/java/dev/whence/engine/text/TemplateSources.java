package dev.whence.engine.text;

import java.util.Optional;

/**
 * A model's chat templates, in Jinja.
 *
 * @param standard the one named default
 * @param withTools the one named tool_use, which transformers takes for conversations with tools
 */
public record TemplateSources(String standard, Optional<String> withTools) {
  /** One template for all conversations. */
  public TemplateSources(String standard) {
    this(standard, Optional.empty());
  }
}
