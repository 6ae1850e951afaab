package dev.whence.engine.text;

import dev.whence.conversation.Conversation;

/** Turns a conversation into the text that the model saw. */
public interface PromptTemplate {
  /**
   * Renders the prompt, up to where the response begins.
   *
   * @throws dev.whence.engine.EngineException of kind UNSUPPORTED if the template fails or a
   *     segment is not found verbatim in the rendered text; the message names the construct or the
   *     segment
   */
  RenderedPrompt render(Conversation conversation);
}
