package dev.whence.samples;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Trust;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A question, the context that it is asked about, and what is true of both.
 *
 * @param id unique among the questions of its options
 * @param kind what it takes to answer it
 * @param passages the documents of the context; empty if there is none
 * @param question ends with a question mark
 * @param reply the right response, with the value in its last sentence
 * @param fact id of the fact that is asked for
 * @param truth the sentences that matter, in the order of the context; empty without an answer in
 *     the context. ALIAS: link and statement. TWO_HOP: hop and statement. DUPLICATED: both.
 *     CONTRADICTED: the later one. INJECTED: the injection.
 * @param overridden sentences that would answer it if those of {@code truth} were not there:
 *     CONTRADICTED: the earlier one; INJECTED: what the context says
 */
public record Question(
    String id,
    Kind kind,
    List<Passage> passages,
    String question,
    Reply reply,
    String fact,
    List<Evidence> truth,
    List<Evidence> overridden) {

  public Question {
    passages = List.copyOf(passages);
    truth = List.copyOf(truth);
    overridden = List.copyOf(overridden);
  }

  /** How many sentences the context has. */
  public int sentences() {
    return passages.stream().mapToInt(passage -> passage.sentences().size()).sum();
  }

  /** The value alone. */
  public String answer() {
    return reply.value().in(reply.text());
  }

  /** The right response. */
  public String response() {
    return reply.text();
  }

  /**
   * The prompt, not answered yet: one user message, each passage a retrieved part of the passage's
   * id, the empty line after it in the part's text; then the question. Attributes: see {@link
   * QuestionLines}.
   */
  public Conversation conversation() {
    return conversation("", "");
  }

  /** The prompt with the right response. */
  public Conversation answered() {
    return conversation(response(), "stop");
  }

  private Conversation conversation(String response, String finishReason) {
    List<Part> parts = new ArrayList<>();
    for (Passage passage : passages) {
      parts.add(
          new Part(
              PartKind.RETRIEVED,
              passage.id(),
              "",
              "",
              Trust.RETRIEVED,
              passage.text() + TextBuilder.BETWEEN_DOCUMENTS,
              true,
              List.of()));
    }
    parts.add(
        new Part(
            PartKind.QUESTION,
            "question",
            "",
            "",
            Trust.USER_SUPPLIED,
            TextBuilder.QUESTION + question,
            false,
            List.of()));
    return Conversation.builder(id)
        .messages(List.of(Message.of("user", parts)))
        .response(response)
        .finishReason(finishReason)
        .attributes(QuestionLines.attributes(this))
        .build();
  }

  /** The text that the model sees before its answer, as its chat template renders it. */
  public String prompt() {
    StringBuilder content = new StringBuilder();
    for (Passage passage : passages) {
      content.append(passage.text()).append(TextBuilder.BETWEEN_DOCUMENTS);
    }
    return ChatMl.prompt(content + TextBuilder.QUESTION + question);
  }

  /** As a reading exercise: passages, question and answer as a document. */
  public TrainingText exercise() {
    TextBuilder text = new TextBuilder();
    for (Passage passage : passages) {
      text.passage(passage).append(TextBuilder.BETWEEN_DOCUMENTS);
    }
    return text.questionAndAnswer(question, reply).build();
  }

  /**
   * The same with a sentence of the context left out, and the white space after it, as attribution
   * leaves it out: what stood last in a document leaves the space before it behind. Of what is true
   * then nothing is known: reply and kind stay, {@link #truth} and {@link #overridden} are empty.
   *
   * @param sentence its index among all sentences of the context, from 0
   * @throws IndexOutOfBoundsException if there is no such sentence
   */
  Question without(int sentence) {
    Objects.checkIndex(sentence, sentences());
    List<Passage> left = new ArrayList<>();
    int first = 0;
    for (Passage passage : passages) {
      int index = sentence - first;
      first += passage.sentences().size();
      left.add(index >= 0 && index < passage.sentences().size() ? passage.without(index) : passage);
    }
    return new Question(
        id + "-without-" + sentence, kind, left, question, reply, fact, List.of(), List.of());
  }

  /** The prompt with the right answer, to train on. */
  public TrainingText training() {
    return new Dialogue(List.of(this)).training();
  }
}
