package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.source.Bm25;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.OtherScorer;
import dev.whence.attribution.toy.ThinkingTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompts that are past the model's window, and what is left out of them. */
class OverWindowTest {
  private static final Tokenizer TOKENIZER = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);
  private static final String ANSWER = "The cat is on the mat.";
  private static final List<String> SENTENCES =
      List.of(
          "Paris is the capital of France. ",
          "The cat sat on the mat. ",
          "Berlin is the capital of Germany. ",
          "In 1999 there were 100 birds. ",
          "The cat saw the dog. ",
          "So it goes.");

  private static final Part[] PARTS = {
    instruction("Answer from the context.\n\n"),
    document("d", String.join("", SENTENCES)),
    question("\n\nWhere is the cat?")
  };

  private static ToyTransformer model(int window) {
    return new ToyTransformer(TOKENIZER, window, 3);
  }

  private static AttributionOptions dropping(String method) {
    return new AttributionOptions(
        MethodOptions.of(method).withKeepParagraphs(1).withHeal(2).withMasks(8, 0),
        Granularity.SENTENCE,
        0,
        false,
        "",
        OverWindow.DROP_SOURCES);
  }

  private static AttributionResult attribute(int window, String method, Conversation of) {
    return new Attributor(model(window), dropping(method)).attribute(of);
  }

  /** Of prompt and response. */
  private static int tokens(Conversation conversation) {
    return tokens(conversation, 8192);
  }

  private static int tokens(Conversation conversation, int window) {
    try {
      return new TaskReader(model(window), AttributionOptions.DEFAULT)
          .read(conversation)
          .task()
          .length();
    } catch (NotScorableException e) {
      throw new IllegalArgumentException(e.sentence(), e);
    }
  }

  private static Conversation withContext(List<String> sentences) {
    return Conversations.of(
        ANSWER,
        "stop",
        instruction("Answer from the context.\n\n"),
        document("d", String.join("", sentences)),
        question("\n\nWhere is the cat?"));
  }

  @Test
  void theSourcesWithLeastInCommonAreLeftOutAndTheRestIsScoredAsIfTheyHadNeverBeenThere() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    int window = tokens(withContext(SENTENCES.subList(0, 3)));
    AttributionResult result = attribute(window, "exact-loo", conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.promptTokens() + result.responseTokens()).isLessThanOrEqualTo(window);

    // By hand: the least by BM25 go first, and no more of them than have to.
    double[] scores = Bm25.scores(SENTENCES, "Where is the cat? " + ANSWER);
    List<String> kept = new ArrayList<>(SENTENCES);
    List<Integer> order =
        IntStream.range(0, SENTENCES.size())
            .boxed()
            .sorted(Comparator.comparingDouble(i -> scores[i]))
            .toList();
    int gone = 0;
    while (tokens(withContext(kept)) > window) {
      kept.remove(SENTENCES.get(order.get(gone++)));
    }
    assertThat(gone).isBetween(2, 4);
    AttributionResult expected = attribute(8192, "exact-loo", withContext(kept));
    assertThat(result.sources()).extracting(SourceScore::text).containsExactlyElementsOf(kept);
    assertThat(kept).contains("The cat sat on the mat. ", "The cat saw the dog. ");
    for (int i = 0; i < kept.size(); i++) {
      SourceScore source = result.sources().get(i);
      assertThat(source.tau()).isCloseTo(expected.sources().get(i).tau(), within(1e-9));
      // Exact, but not of the context that production had.
      assertThat(source.exact()).isFalse();
      assertThat(source.context()).isEqualTo(SourceScore.PRUNED);
      assertThat(source.span().in(String.join("", SENTENCES))).isEqualTo(source.text());
    }
    assertThat(result.logLikelihood().getAsDouble())
        .isCloseTo(expected.logLikelihood().getAsDouble(), within(1e-9));
    assertThat(result.groundedness().getAsDouble())
        .isCloseTo(expected.groundedness().getAsDouble(), within(1e-9));
    assertThat(result.promptTokens()).isEqualTo(expected.promptTokens());

    assertThat(result.leftOut())
        .extracting(place -> place.span().in(String.join("", SENTENCES)))
        .containsExactlyElementsOf(
            SENTENCES.stream().filter(sentence -> !kept.contains(sentence)).toList());
    assertThat(result.reasonCode()).isEqualTo("WINDOWED");
    assertThat(result.flags()).containsExactly("WINDOWED");
    assertThat(result.reason())
        .contains(gone + " of 6 sources were left out")
        .contains("window of " + window + " tokens")
        .contains("no score");
  }

  @Test
  void byDefaultItIsRefused() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    int window = tokens(conversation) - 1;
    AttributionResult result =
        new Attributor(model(window), AttributionOptions.DEFAULT).attribute(conversation);
    assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    assertThat(result.leftOut()).isEmpty();
  }

  @Test
  void aPromptThatFitsIsLeftAsItIs() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    AttributionResult result = attribute(tokens(conversation), "exact-loo", conversation);
    AttributionResult expected =
        new Attributor(model(8192), AttributionOptions.DEFAULT).attribute(conversation);
    assertThat(result.sources()).isEqualTo(expected.sources());
    assertThat(result.leftOut()).isEmpty();
    assertThat(result.flags()).isEmpty();
  }

  @Test
  void ofEqualSourcesTheOldestGoFirst() {
    List<String> turns = List.of("One bird. ", "Two birds. ", "Red birds. ", "Blue birds.");
    Conversation conversation = withContext(turns);
    AttributionResult result = attribute(tokens(conversation) - 1, "exact-loo", conversation);
    assertThat(result.sources())
        .extracting(SourceScore::text)
        .containsExactlyElementsOf(turns.subList(1, 4));
  }

  @Test
  void instructionsAndQuestionsStayWhoeverDeclaredThem() {
    Part asked =
        new Part(
            PartKind.QUESTION,
            "q",
            "",
            "",
            Trust.USER_SUPPLIED,
            "Say it loud. Where is the cat?",
            true,
            List.of());
    Conversation conversation =
        Conversations.of(ANSWER, "stop", document("d", "So it goes. It ran. "), asked);
    AttributionResult result = attribute(tokens(conversation) - 1, "exact-loo", conversation);
    assertThat(result.leftOut()).extracting(SourcePlace::segment).containsOnly("d");
    assertThat(result.sources())
        .extracting(SourceScore::text)
        .contains("Say it loud. ", "Where is the cat?");

    int least = tokens(Conversations.of(ANSWER, "stop", asked));
    result = attribute(least, "exact-loo", conversation);
    assertThat(result.sources()).extracting(SourceScore::segment).containsOnly("q");
    result = attribute(least - 1, "exact-loo", conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    assertThat(result.reason()).contains("without the 2 of its 4 sources");
  }

  @Test
  void contextThatAPatternFindsInAFlattenedPromptMayGo() {
    String flattened = "Context: " + String.join("", SENTENCES) + "\nEnd.\nWhere is the cat?";
    Conversation conversation = Conversations.of(ANSWER, "stop", question(flattened));
    AttributionOptions options =
        new AttributionOptions(
            MethodOptions.DEFAULT,
            Granularity.SENTENCE,
            0,
            false,
            "Context: (.*)\\nEnd\\.",
            OverWindow.DROP_SOURCES);
    int window = tokens(conversation) - 20;
    AttributionResult result = new Attributor(model(window), options).attribute(conversation);
    assertThat(result.flags()).containsExactly("WINDOWED");
    assertThat(result.sources())
        .extracting(SourceScore::text)
        .contains("The cat sat on the mat. ", "The cat saw the dog. ");
    assertThat(result.leftOut()).isNotEmpty();
  }

  @Test
  void withoutAnySourceLeftItIsScoredWithGroundednessZero() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    int window = tokens(Conversations.of(ANSWER, "stop", PARTS[0], PARTS[2]));
    AttributionResult result = attribute(window, "exact-loo", conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).isEmpty();
    assertThat(result.leftOut()).hasSize(6);
    assertThat(result.groundedness()).hasValue(0);
  }

  @Test
  void aRawPromptOfSourcesAloneIsNotShortenedToNothing() {
    String answer = "The cat sat on the mat. ".repeat(4);
    Conversation conversation =
        Conversations.raw(answer, document("a", "It is what it is and so on. "));
    int tokens = tokens(conversation);
    int response = TOKENIZER.encode(answer).length();
    AttributionResult result = attribute(tokens - 1, "exact-loo", conversation);
    assertThat(tokens - 1).isGreaterThanOrEqualTo(response);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    assertThat(result.reason()).contains("nothing is left of the prompt");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "naive-loo",
        "hierarchical",
        "splice",
        "paragraph-splice",
        "cascade",
        "contextcite"
      })
  void everyMethodScoresTheShorterPromptAsItStands(String method) {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    int window = tokens(withContext(SENTENCES.subList(0, 4)));
    AttributionResult result = attribute(window, method, conversation);
    List<String> kept = result.sources().stream().map(SourceScore::text).toList();
    AttributionResult expected = attribute(8192, method, withContext(kept));
    assertThat(result.flags()).contains("WINDOWED");
    assertThat(result.sources()).hasSameSizeAs(expected.sources());
    for (int i = 0; i < kept.size(); i++) {
      assertThat(result.sources().get(i).tau())
          .isCloseTo(expected.sources().get(i).tau(), within(1e-9));
      assertThat(result.sources().get(i).context()).isEqualTo(SourceScore.PRUNED);
      assertThat(result.sources().get(i).exact()).isFalse();
    }
    assertThat(result.sources().size() + result.leftOut().size()).isEqualTo(6);
  }

  @Property(tries = 60)
  void whateverTheWindowIsThePromptFitsAndNoSourceIsLost(
      @ForAll long seed, @ForAll @IntRange(min = 30, max = 200) int window) {
    Random random = new Random(seed);
    List<Part> parts = new ArrayList<>();
    parts.add(instruction("Answer.")); // so that the template trims nothing
    for (int d = 0; d < 3; d++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(6); i >= 0; i--) {
        text.append(SENTENCES.get(random.nextInt(6))).append(random.nextBoolean() ? "\n\n" : "");
      }
      // Some with the caller's own spans, and gaps between them.
      Span[] spans =
          random.nextBoolean()
              ? new Span[] {new Span(2, 9), new Span(9, Math.min(14, text.length()))}
              : new Span[0];
      parts.add(document("d" + d, text.toString(), spans));
      parts.add(question(d == 2 ? "\nWhere is the cat?" : " "));
    }
    for (int q = 2; q < parts.size(); q += 2) {
      parts.set(q, Part.of(PartKind.QUESTION, "q" + q, parts.get(q).text()));
    }
    Conversation conversation = Conversations.of(ANSWER, "stop", parts.toArray(Part[]::new));
    AttributionResult whole = attribute(8192, "exact-loo", conversation);
    AttributionResult result = attribute(window, "exact-loo", conversation);
    if (result.status() == AttributionStatus.UNSUPPORTED) {
      assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
      return;
    }
    assertThat(result.promptTokens() + result.responseTokens()).isLessThanOrEqualTo(window);
    Set<SourcePlace> all =
        whole.sources().stream().map(OverWindowTest::place).collect(Collectors.toSet());
    List<SourcePlace> told = new ArrayList<>(result.leftOut());
    result.sources().forEach(source -> told.add(place(source)));
    assertThat(told).containsExactlyInAnyOrderElementsOf(all);

    // The numbers are those of a prompt without the characters that are gone.
    List<Part> shorter = new ArrayList<>();
    for (Part part : parts) {
      StringBuilder text = new StringBuilder(part.text());
      List<SourcePlace> gone =
          result.leftOut().stream().filter(p -> p.segment().equals(part.id())).toList();
      for (int i = gone.size() - 1; i >= 0; i--) {
        text.delete(gone.get(i).span().start(), gone.get(i).span().end());
      }
      shorter.add(Part.of(PartKind.QUESTION, part.id(), text.toString()));
    }
    AttributionResult expected =
        attribute(
            8192, "exact-loo", Conversations.of(ANSWER, "stop", shorter.toArray(Part[]::new)));
    assertThat(result.promptTokens()).isEqualTo(expected.promptTokens());
    assertThat(result.logLikelihood().getAsDouble())
        .isCloseTo(expected.logLikelihood().getAsDouble(), within(1e-9));
  }

  private static SourcePlace place(SourceScore source) {
    return new SourcePlace(source.segment(), source.span());
  }

  @Test
  void theProxyReadsTheSameShorterPrompt() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    int window = tokens(withContext(SENTENCES.subList(0, 4)));
    ToyTransformer smaller = model(8192);
    Scorer proxy = new OtherScorer(smaller, "small", TOKENIZER);
    AttributionResult result =
        new Attributor(model(window), Optional.of(proxy), dropping("proxy"), NoiseFloor.FP32)
            .attribute(conversation);
    List<String> kept = result.sources().stream().map(SourceScore::text).toList();
    AttributionResult expected = attribute(8192, "exact-loo", withContext(kept));
    for (int i = 0; i < kept.size(); i++) {
      assertThat(result.sources().get(i).tau())
          .isCloseTo(expected.sources().get(i).tau(), within(1e-9));
      assertThat(result.sources().get(i).scorer()).isEqualTo("small");
    }
    assertThat(result.flags()).containsExactly("WINDOWED");

    // A proxy that would have to leave out more of them has no score for these.
    Scorer narrow = new OtherScorer(model(40), "narrow", TOKENIZER);
    AttributionResult refused =
        new Attributor(model(window), Optional.of(narrow), dropping("proxy"), NoiseFloor.FP32)
            .attribute(conversation);
    assertThat(refused.reasonCode()).isEqualTo("PROXY_PROMPT_TOO_LONG");
  }

  @Test
  void aProxyReadsAnyPromptThatItsTargetHasMadeShortEnough() {
    List<String> sentences = new ArrayList<>();
    for (int i = 0; i < 2000; i++) {
      sentences.add("Berlin is the capital of " + i + ". It was so. ");
    }
    sentences.set(1000, "The cat sat on the mat. ");
    Conversation conversation = withContext(sentences);
    assertThat(String.join("", sentences)).hasSizeGreaterThan(70_000);
    int window = 700;
    // Both windows take far less than half of it.
    assertThat(tokens(conversation, 1 << 20)).isGreaterThan(20 * window);
    Scorer proxy = new OtherScorer(model(window), "small", TOKENIZER);
    AttributionResult result =
        new Attributor(model(window), Optional.of(proxy), dropping("proxy"), NoiseFloor.FP32)
            .attribute(conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.flags()).contains("WINDOWED");
    assertThat(result.sources()).extracting(SourceScore::text).contains(sentences.get(1000));
    assertThat(result.sources()).extracting(SourceScore::scorer).containsOnly("small");
  }

  @Test
  void earlierScoresOfTheWholePromptAreNotTakenOver() {
    Conversation conversation = Conversations.of(ANSWER, "stop", PARTS);
    AttributionResult fast =
        new Attributor(model(8192), AttributionOptions.DEFAULT).attribute(conversation);
    int window = tokens(withContext(SENTENCES.subList(0, 4)));
    Attributor target = new Attributor(model(window), dropping("exact-loo"));
    AttributionResult result =
        target.attribute(
            target.read(
                conversation,
                new EarlierScores(
                    fast.sources(),
                    fast.matrix(),
                    Set.of(place(fast.sources().get(1))),
                    Optional.empty())));
    assertThat(result.flags()).containsExactly("WINDOWED", "FAST_SCORES_UNUSABLE");
    assertThat(result.method()).isEqualTo("exact-loo");
  }

  @Test
  void theReasoningStaysAndCountsAsAskedFor() {
    ThinkingTemplate template = new ThinkingTemplate();
    String thought = "So it goes: birds";
    Conversation conversation = Conversations.reasoned(thought, ANSWER, PARTS);
    AttributionResult whole =
        new Attributor(new ToyTransformer(TOKENIZER, 8192, 3, template), dropping("exact-loo"))
            .attribute(conversation);
    int window = whole.promptTokens() + whole.responseTokens() - 30;
    AttributionResult result =
        new Attributor(new ToyTransformer(TOKENIZER, window, 3, template), dropping("exact-loo"))
            .attribute(conversation);
    assertThat(result.reasoning().orElseThrow().tokens())
        .isEqualTo(whole.reasoning().orElseThrow().tokens());
    assertThat(result.sources()).extracting(SourceScore::text).contains("So it goes.");
    assertThat(result.sources()).allMatch(source -> source.reasoningTau().isPresent());
    assertThat(result.leftOut()).isNotEmpty();
  }
}
