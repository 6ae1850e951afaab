package dev.whence.samples;

import java.util.List;

/**
 * Questions about one context. As a training text, the context stands once, before the first
 * question, and each further question is a turn of its own.
 *
 * @param questions at least one; all have the same passages
 */
public record Dialogue(List<Question> questions) {
  public Dialogue {
    questions = List.copyOf(questions);
    if (questions.isEmpty()) {
      throw new IllegalArgumentException("a dialogue has no question");
    }
  }

  /** The whole dialogue in ChatML; answers include the end of their turns. */
  public TrainingText training() {
    TextBuilder text = new TextBuilder().append(ChatMl.USER);
    for (Passage passage : questions.get(0).passages()) {
      text.passage(passage).append(TextBuilder.BETWEEN_DOCUMENTS);
    }
    for (int i = 0; i < questions.size(); i++) {
      if (i > 0) {
        text.append(ChatMl.USER);
      }
      text.question(questions.get(i).question())
          .append(ChatMl.ASSISTANT)
          .answer(questions.get(i).reply(), ChatMl.END)
          .append("\n");
    }
    return text.build();
  }
}
