package dev.whence.benchmarks.fidelity;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.samples.Evidence;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A prompt to attribute.
 *
 * @param conversation with its response, or without: then the model answers it
 * @param gold the sources that annotators marked as needed; empty where nothing is marked
 */
public record FidelityPrompt(Conversation conversation, Set<Place> gold) {
  private static final String INSTRUCTION =
      "Answer the question based on the provided context:\n\nContext:\n";

  /** Of the world that the sample models learnt. */
  private static final long WORLD_SEED = 1;

  private static final long QUESTION_SEED = 7_002;

  public FidelityPrompt {
    gold = Set.copyOf(gold);
  }

  /** Where a source stands. */
  public record Place(String segment, int start) {}

  /**
   * Reads prompts, one JSON object per line: records as {@code whence attribute} takes them, or
   * questions of HotpotQA or SQuAD ({@code question}, {@code paragraphs}), whose prompt is
   * AttriBoT's. HotpotQA's sentences become sources.
   *
   * @param paragraphs most paragraphs of a question, those with a marked sentence first; 0 = all.
   *     Records are taken whole
   * @param most prompts to read, evenly spaced over the file; 0 = all
   * @throws IOException if the file can not be read
   * @throws IllegalArgumentException for a line that is neither; the message has its number
   */
  public static List<FidelityPrompt> read(Path input, int paragraphs, int most) throws IOException {
    List<String> lines = Files.readAllLines(input);
    List<FidelityPrompt> prompts = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      if (!lines.get(i).isBlank()) {
        try {
          prompts.add(of(lines.get(i), paragraphs));
        } catch (IllegalArgumentException | JsonProcessingException e) {
          throw new IllegalArgumentException(
              input + ", line " + (i + 1) + ": " + e.getMessage(), e);
        }
      }
    }
    if (prompts.isEmpty()) {
      throw new IllegalArgumentException(input + " has no prompt in it");
    }
    if (most == 0 || most >= prompts.size()) {
      return prompts;
    }
    List<FidelityPrompt> spaced = new ArrayList<>();
    for (int i = 0; i < most; i++) {
      spaced.add(prompts.get((int) ((long) i * prompts.size() / most)));
    }
    return spaced;
  }

  /**
   * Questions about unseen worlds, with 5 to 40 sentences of context, for the sample models; marked
   * are the sentences that hold the answer.
   */
  public static List<FidelityPrompt> ofWorld(int count) {
    return ofWorld(count, Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP);
  }

  /** The same of certain kinds, as often each. */
  static List<FidelityPrompt> ofWorld(int count, Kind... kinds) {
    Questions questions =
        new Questions(World.v1(WORLD_SEED), QuestionOptions.evaluation(QUESTION_SEED, kinds));
    List<FidelityPrompt> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Question question = questions.question(i);
      Set<Place> gold = new HashSet<>();
      for (Evidence evidence : question.truth()) {
        gold.add(new Place(evidence.part(), evidence.span().start()));
      }
      prompts.add(new FidelityPrompt(question.conversation(), gold));
    }
    return prompts;
  }

  private static FidelityPrompt of(String line, int most) throws JsonProcessingException {
    JsonNode json = new ObjectMapper().readTree(line);
    if (!json.has("paragraphs")) {
      return new FidelityPrompt(ConversationCodec.readPrompt(line), Set.of());
    }
    if (!json.path("question").isTextual() || !json.path("id").isTextual()) {
      throw new IllegalArgumentException("a question has no 'question' or no 'id'");
    }
    List<JsonNode> chosen = chosen(json.path("paragraphs"), most);
    Set<Place> gold = new HashSet<>();
    List<Part> parts = new ArrayList<>();
    parts.add(part(PartKind.INSTRUCTION, "instruction", INSTRUCTION, List.of()));
    for (int i = 0; i < chosen.size(); i++) {
      JsonNode paragraph = chosen.get(i);
      String id = "doc-" + i;
      StringBuilder text = new StringBuilder();
      List<Span> sources = new ArrayList<>();
      if (paragraph.isTextual()) {
        text.append(paragraph.asText());
      }
      JsonNode sentences = paragraph.path("sentences");
      for (int s = 0; s < sentences.size(); s++) {
        String sentence = sentences.get(s).asText().strip();
        if (sentence.isEmpty()) {
          continue;
        }
        if (!sources.isEmpty()) {
          Span last = sources.remove(sources.size() - 1);
          text.append(' ');
          sources.add(new Span(last.start(), text.length())); // owns the space after it
        }
        int start = text.length();
        text.append(sentence);
        sources.add(new Span(start, text.length()));
        if (paragraph.path("gold").path(s).asBoolean()) {
          gold.add(new Place(id, start));
        }
      }
      text.append(i + 1 < chosen.size() ? "\n\n" : "");
      parts.add(part(PartKind.RETRIEVED, id, text.toString(), sources));
    }
    String question = "\n\nQuestion: " + json.path("question").asText();
    parts.add(part(PartKind.QUESTION, "question", question, List.of()));
    return new FidelityPrompt(
        Conversation.builder(json.path("id").asText())
            .messages(List.of(Message.of("user", parts)))
            .build(),
        gold);
  }

  /** The paragraphs with a marked sentence and as many others as fit, in the order of the data. */
  private static List<JsonNode> chosen(JsonNode paragraphs, int most) {
    List<JsonNode> all = new ArrayList<>();
    paragraphs.forEach(all::add);
    if (most == 0 || all.size() <= most) {
      return all;
    }
    Set<JsonNode> kept = new HashSet<>();
    for (boolean marked : new boolean[] {true, false}) {
      for (JsonNode paragraph : all) {
        if (kept.size() < most && isMarked(paragraph) == marked) {
          kept.add(paragraph);
        }
      }
    }
    return all.stream().filter(kept::contains).toList();
  }

  private static boolean isMarked(JsonNode paragraph) {
    for (JsonNode gold : paragraph.path("gold")) {
      if (gold.asBoolean()) {
        return true;
      }
    }
    return false;
  }

  private static Part part(PartKind kind, String id, String text, List<Span> sources) {
    return new Part(
        kind,
        id,
        "",
        "",
        kind == PartKind.RETRIEVED ? Trust.RETRIEVED : Trust.UNKNOWN,
        text,
        kind == PartKind.RETRIEVED,
        sources);
  }

  /** The same prompt with its response. */
  FidelityPrompt answered(Conversation answer) {
    return new FidelityPrompt(answer, gold);
  }
}
