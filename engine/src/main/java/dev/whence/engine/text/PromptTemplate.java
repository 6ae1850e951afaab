package dev.whence.engine.text;

import dev.whence.conversation.Conversation;

/** Turns a conversation into the text that the model saw. */
public interface PromptTemplate {
  /** What opens a block of reasoning. */
  String OPENS_REASONING = "<think>";

  /** What closes it. */
  String CLOSES_REASONING = "</think>";

  /**
   * Renders the prompt, up to where the response begins.
   *
   * @throws dev.whence.engine.EngineException of kind UNSUPPORTED if the template fails or a
   *     segment is not found verbatim in the rendered text; the message names the construct or the
   *     segment
   */
  RenderedPrompt render(Conversation conversation);

  /**
   * Whether the model, asked in this way, begins its answer with a block of reasoning by itself,
   * unless the rendered prompt ends with one.
   */
  default boolean reasonsFirst(Conversation conversation) {
    return false;
  }
}
