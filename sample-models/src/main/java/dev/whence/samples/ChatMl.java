package dev.whence.samples;

/** The chat format of the sample models: ChatML without a system message. */
public final class ChatMl {
  /** Separates documents in training. */
  public static final String END_OF_TEXT = "<|endoftext|>";

  /** Begins a turn. */
  public static final String START = "<|im_start|>";

  /** Ends a turn. */
  public static final String END = "<|im_end|>";

  /** The same format as a chat template for tokenizer_config.json. */
  public static final String TEMPLATE =
      "{% for message in messages %}"
          + START
          + "{{ message['role'] }}\n{{ message['content'] }}"
          + END
          + "\n{% endfor %}{% if add_generation_prompt %}"
          + START
          + "assistant\n{% endif %}";

  static final String USER = START + "user\n";
  static final String ASSISTANT = END + "\n" + START + "assistant\n";

  private ChatMl() {}

  /** What a model sees before its answer to one message. */
  static String prompt(String content) {
    return USER + content + ASSISTANT;
  }
}
