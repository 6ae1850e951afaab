package dev.whence.attribution;

import dev.whence.attribution.ContextWindow.Fitted;
import dev.whence.attribution.method.Prior;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.ContextPattern;
import dev.whence.attribution.source.ContextReader;
import dev.whence.attribution.source.Duplicates;
import dev.whence.attribution.source.Partitioner;
import dev.whence.attribution.source.PromptReading;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.attribution.tokens.TokenCount;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.RenderedPrompt.Segment;
import dev.whence.engine.text.Tokenizer;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** From a conversation to what methods are given, or the reason why it can not be scored. */
final class TaskReader {
  /** A prompt of at least so many tokens has most likely some context in it. */
  static final int LONG_PROMPT_TOKENS = 256;

  /** Sources are left out of prompts of so many windows at most, ... */
  private static final int DROPPED_WINDOWS = 64;

  /** ... and of so many tokens. */
  private static final long DROPPED_TOKENS = 1_000_000;

  /** Groups of near-duplicates that are scored together: each costs an exact branch. */
  private static final int MOST_GROUPS = 8;

  static final Set<String> TOOL_CALL_REASONS = Set.of("tool_calls", "tool_use", "function_call");
  private static final Set<String> CUT_OFF_REASONS = Set.of("length", "max_tokens");

  private final Scorer scorer;
  private final Partitioner partitioner = new Partitioner();
  private final ContextReader context;
  private final OverWindow overWindow;
  private final Legibility legibility;

  TaskReader(Scorer scorer, AttributionOptions options) {
    this.scorer = scorer;
    this.context = new ContextReader(options, partitioner);
    this.overWindow = options.overWindow();
    this.legibility = new Legibility(scorer.tokenizer());
  }

  /**
   * A conversation ready to be scored.
   *
   * @param notes what has been noticed so far; may be added to
   * @param fitted where sources were left out for the model's window: which, and why
   */
  record ReadTask(ScoringTask task, Set<AttributionNote> notes, Optional<Fitted> fitted) {
    ReadTask with(Prior scores) {
      return new ReadTask(task.withPrior(scores), notes, fitted);
    }

    List<SourcePlace> leftOut() {
      return fitted.map(Fitted::leftOut).orElse(List.of());
    }
  }

  ReadTask read(Conversation conversation) throws NotScorableException {
    return read(conversation, List.of());
  }

  /**
   * Reads a conversation.
   *
   * @param without sources that somebody else has left out of the prompt, so that they are not in
   *     this reading either
   */
  ReadTask read(Conversation conversation, List<SourcePlace> without) throws NotScorableException {
    refuseMedia(conversation);
    Tokenizer tokenizer = scorer.tokenizer();
    RenderedPrompt prompt = render(conversation);
    Set<AttributionNote> notes = EnumSet.noneOf(AttributionNote.class);

    boolean shortened = overWindow != OverWindow.REFUSE || !without.isEmpty();
    refuseCharacters(prompt.text(), conversation.response(), shortened);
    int endToken = endToken(tokenizer, prompt, conversation);
    TokenizedResponse response =
        TokenizedResponse.of(
            tokenizer, prompt.text(), conversation.response(), endToken, List.of());
    if (response.length() == 0) {
      throw new NotScorableException(
          Refusal.EMPTY_RESPONSE, "The response is empty and no end token is scored.");
    }
    TokenizedPrompt tokens =
        new TokenizedPrompt(tokenizer, prompt.text(), CutWindow.of(tokenizer), prompt.reasoning());
    ContextWindow most = new ContextWindow(scorer.description().maxPositions());
    boolean fits = most.holds(tokens.length(), response.length());
    if (!fits && !shortened) {
      throw most.tooLong(tokens.length(), response.length());
    }

    response = response.in(statements(conversation));
    PromptReading reading = readContext(prompt);
    ScoringTask task =
        ContextWindow.without(
            new ScoringTask(tokens, response, reading.sources(), reading.context(), List.of()),
            without);
    if (task.prompt().length() == 0) {
      throw new NotScorableException(
          Refusal.EMPTY_PROMPT,
          "The prompt has no token, so the first token of the response follows from nothing.");
    }
    Optional<Fitted> fitted = Optional.empty();
    if (!most.holds(task.prompt().length(), response.length())) {
      if (overWindow == OverWindow.REFUSE) {
        throw most.tooLong(task.prompt().length(), response.length());
      }
      fitted = Optional.of(most.fit(task, reading, conversation));
      task = fitted.get().task();
      notes.add(AttributionNote.WINDOWED);
    }
    if (!legibility.isRead(task, conversation.response())) {
      notes.add(AttributionNote.TEXT_NOT_READ);
    }
    if (!reading.contextDeclared()
        && (tokens.length() >= LONG_PROMPT_TOKENS || hasTextOfUnknownKind(prompt.segments()))) {
      notes.add(AttributionNote.NO_SOURCES_DECLARED);
    } else if (reading.longWithoutSource()) {
      notes.add(AttributionNote.LONG_SEGMENT_WITHOUT_SOURCE);
    }
    if (hasSpecialToken(tokenizer, tokens.encoding(), prompt.segments())) {
      notes.add(AttributionNote.SPECIAL_TOKEN_IN_SEGMENT);
    }
    if (conversation.response().isEmpty()) {
      notes.add(AttributionNote.EMPTY_RESPONSE);
    }
    if (CUT_OFF_REASONS.contains(conversation.finishReason())) {
      notes.add(AttributionNote.RESPONSE_CUT_OFF);
    }
    noteReasoning(conversation, prompt, scorer.template()).ifPresent(notes::add);
    Duplicates.Groups duplicates = Duplicates.groups(task.sources(), MOST_GROUPS);
    if (!duplicates.complete()) {
      notes.add(AttributionNote.DUPLICATES_NOT_SEARCHED);
    }
    if (duplicates.cut()) {
      notes.add(AttributionNote.GROUPS_LEFT_OUT);
    }
    return new ReadTask(task.withDuplicates(duplicates.groups()), notes, fitted);
  }

  private RenderedPrompt render(Conversation conversation) throws NotScorableException {
    try {
      return scorer.template().render(conversation);
    } catch (EngineException e) {
      if (e.kind() != EngineException.Kind.UNSUPPORTED) {
        throw e;
      }
      throw new NotScorableException(Refusal.TEMPLATE_UNSUPPORTED, String.valueOf(e.getMessage()));
    }
  }

  private static void refuseMedia(Conversation conversation) throws NotScorableException {
    Optional<Part> media =
        conversation.parts().filter(part -> part.kind() == PartKind.MEDIA).findFirst();
    if (media.isPresent()) {
      throw new NotScorableException(
          Refusal.MEDIA_PART, "The prompt has an image, audio or other part without text.");
    }
  }

  /**
   * Refuses what can not fit before it is tokenised: tokens take a hundred bytes each. Where
   * sources are left out, far more may come in.
   */
  private void refuseCharacters(String prompt, String response, boolean shortened)
      throws NotScorableException {
    int window = scorer.description().maxPositions();
    long most =
        shortened
            ? Math.max(window, Math.min((long) DROPPED_WINDOWS * window, DROPPED_TOKENS))
            : window;
    int longest = scorer.tokenizer().longestToken();
    if ((long) prompt.length() + response.length() > most * longest) {
      throw new NotScorableException(
          Refusal.PROMPT_TOO_LONG,
          "The prompt of "
              + prompt.length()
              + " characters and the response of "
              + response.length()
              + " do not fit into "
              + bound(most, window)
              + ", of which the longest has "
              + longest
              + " characters.");
    }
    refuseCount("prompt", prompt, most, window);
    refuseCount("response", response, window, window);
  }

  private void refuseCount(String what, String text, long most, int window)
      throws NotScorableException {
    if (TokenCount.isOver(scorer.tokenizer(), text, (int) most)) {
      throw new NotScorableException(
          Refusal.PROMPT_TOO_LONG,
          "The "
              + what
              + " of "
              + text.length()
              + " characters has over "
              + 2L * most
              + " tokens and does not fit into "
              + bound(most, window)
              + ".");
    }
  }

  private static String bound(long most, int window) {
    return most == window
        ? "the model's window of " + window + " tokens"
        : "the " + most + " tokens from which sources are left out for the model's window";
  }

  private PromptReading readContext(RenderedPrompt prompt) throws NotScorableException {
    try {
      return context.read(prompt);
    } catch (ContextPattern.TooSlowException e) {
      throw new NotScorableException(
          Refusal.CONTEXT_PATTERN_TOO_SLOW,
          "The context pattern backtracks too much on this prompt; write it without nested"
              + " repetitions.");
    }
  }

  /** Sentences; a tool call is one statement, since JSON has no sentences. */
  private List<Span> statements(Conversation conversation) {
    return TOOL_CALL_REASONS.contains(conversation.finishReason())
        ? List.of()
        : partitioner.sentences(conversation.response());
  }

  /** The end token is scored exactly if the model stopped by itself and the template writes one. */
  private static int endToken(
      Tokenizer tokenizer, RenderedPrompt prompt, Conversation conversation) {
    if (!stoppedByItself(conversation) || prompt.endToken().isEmpty()) {
      return -1;
    }
    return tokenizer.idOf(prompt.endToken());
  }

  /** Whether the model has generated an end token, and not been cut off before. */
  static boolean stoppedByItself(Conversation conversation) {
    return conversation.finishReason().equals("stop");
  }

  /** A raw prompt whose caller declared nothing: question and context may both be in it. */
  private static boolean hasTextOfUnknownKind(List<Segment> segments) {
    return segments.stream()
        .map(Segment::part)
        .anyMatch(part -> part.kind() == PartKind.UNKNOWN && !part.text().isBlank());
  }

  private static boolean hasSpecialToken(
      Tokenizer tokenizer, Encoding encoding, List<Segment> segments) {
    int segment = 0;
    for (int i = 0; i < encoding.length(); i++) {
      if (!tokenizer.isSpecial(encoding.ids()[i]) || encoding.starts()[i] == encoding.ends()[i]) {
        continue;
      }
      while (segment < segments.size()
          && segments.get(segment).rendered().end() <= encoding.starts()[i]) {
        segment++;
      }
      if (segment < segments.size()
          && segments.get(segment).rendered().start() < encoding.ends()[i]) {
        return true;
      }
    }
    return false;
  }

  private static Optional<AttributionNote> noteReasoning(
      Conversation conversation, RenderedPrompt prompt, PromptTemplate template) {
    if (!conversation.reasoning().isBlank()) {
      return prompt.reasoning().isPresent()
          ? Optional.empty()
          : Optional.of(AttributionNote.REASONING_NOT_CONDITIONED);
    }
    String before = prompt.text().stripTrailing();
    boolean opened = before.endsWith(PromptTemplate.OPENS_REASONING);
    boolean expected =
        template.reasonsFirst(conversation)
            && !before.endsWith(PromptTemplate.CLOSES_REASONING)
            && !conversation.response().stripLeading().startsWith(PromptTemplate.OPENS_REASONING);
    return opened || expected ? Optional.of(AttributionNote.REASONING_MISSING) : Optional.empty();
  }
}
