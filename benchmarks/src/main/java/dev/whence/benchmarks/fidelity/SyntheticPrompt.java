package dev.whence.benchmarks.fidelity;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Prompts of common words, of any number of sources and any length: for costs, not for meaning. */
final class SyntheticPrompt {
  private static final String QUESTION = "\n\nQuestion: What does the report say?";

  private static final List<String> WORDS =
      List.of(
          ("the a one old new long small river town house garden teacher doctor report story road"
                  + " bridge winter summer green red quiet early late north south found made kept"
                  + " wrote built left near under over with and for from about")
              .split(" "));

  private SyntheticPrompt() {}

  /**
   * A prompt of n sources that is about so many tokens long, the response included.
   *
   * @param perParagraph sources of a paragraph
   */
  static Conversation of(
      Tokenizer tokenizer, int n, int perParagraph, int tokens, String response) {
    int fixed = tokenizer.encode(QUESTION).length() + tokenizer.encode(response).length();
    double perSource = (double) (tokens - fixed) / n;
    SplittableRandom random = new SplittableRandom(n);
    List<Part> parts = new ArrayList<>();
    int before = 0;
    StringBuilder text = new StringBuilder();
    List<Span> spans = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      int start = text.length();
      text.append("It");
      do {
        text.append(' ').append(word(random));
      } while (before + tokenizer.encode(text.toString()).length() < perSource * (i + 1) - 2);
      text.append(". ");
      spans.add(new Span(start, text.length()));
      if ((i + 1) % perParagraph == 0 || i + 1 == n) {
        text.append("\n\n");
        parts.add(
            new Part(
                PartKind.RETRIEVED,
                "doc-" + parts.size(),
                "",
                "",
                Trust.RETRIEVED,
                text.toString(),
                true,
                spans));
        before += tokenizer.encode(text.toString()).length();
        text = new StringBuilder();
        spans = new ArrayList<>();
      }
    }
    parts.add(Part.of(PartKind.QUESTION, "question", QUESTION));
    return Conversation.builder("synthetic-" + n + "-" + tokens)
        .messages(List.of(Message.of("user", parts)))
        .response(response)
        .finishReason("length")
        .build();
  }

  /** A response of at least so many tokens, and hardly more. */
  static String response(Tokenizer tokenizer, int tokens) {
    SplittableRandom random = new SplittableRandom(tokens);
    StringBuilder text = new StringBuilder("It");
    while (tokenizer.encode(text + ".").length() < tokens) {
      text.append(' ').append(word(random));
    }
    return text.append('.').toString();
  }

  private static String word(SplittableRandom random) {
    return WORDS.get(random.nextInt(WORDS.size()));
  }
}
