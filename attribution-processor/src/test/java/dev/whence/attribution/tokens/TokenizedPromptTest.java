package dev.whence.attribution.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.attribution.toy.ForwardingTokenizer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.WatchedTokenizer;
import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class TokenizedPromptTest {
  private static final Tokenizer LLAMA3 = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);
  private static final Tokenizer GPT2 = new ToyTokenizer(ToyTokenizer.GPT2, 200);
  private static final Tokenizer NONE = new ToyTokenizer(ToyTokenizer.NONE, 200);
  private static final Tokenizer PREFIXED = new ToyTokenizer(ToyTokenizer.NONE, 200, " ");

  /** Windows wherever the text is long enough for one; each tokenizer is put to the test once. */
  private static final Map<Tokenizer, CutWindow> WINDOWS =
      Map.of(
          LLAMA3, new CutWindow(0),
          GPT2, new CutWindow(0),
          NONE, new CutWindow(0),
          PREFIXED, new CutWindow(0));

  private static TokenizedPrompt windowed(Tokenizer tokenizer, String text) {
    return new TokenizedPrompt(tokenizer, text, WINDOWS.getOrDefault(tokenizer, new CutWindow(0)));
  }

  @Test
  void aMergeAcrossTheCutChangesKeptTokensAndIsCounted() {
    // ".\n\n" is one token of this tokenizer, and the second sentence begins inside it.
    String text = "The cat ran.\n\nThe dog sat on the mat.";
    assertThat(LLAMA3.encode(".\n\n").length()).isEqualTo(1);
    TokenizedPrompt prompt = windowed(LLAMA3, text);
    int dot = text.indexOf('.');
    AblatedPrompt ablated = prompt.without(List.of(new Span(0, dot)));
    assertThat(ablated.retokenized()).isFalse();
    ablated = prompt.without(List.of(new Span(0, dot + 1)));
    assertThat(ablated.retokenized()).isTrue();
    assertThat(ablated.ids()).isEqualTo(LLAMA3.encode(text.substring(dot + 1)).ids());
  }

  @Test
  void aCutBetweenTokensLeavesTheOthersAsTheyAre() {
    String text = "The cat sat. The dog sat. It ran.";
    TokenizedPrompt prompt = windowed(LLAMA3, text);
    AblatedPrompt ablated = prompt.without(List.of(new Span(12, 25)));
    assertThat(ablated.retokenized()).isFalse();
    assertThat(LLAMA3.decode(ablated.ids(), false)).isEqualTo("The cat sat. It ran.");
    assertThat(ablated.sharedPrefix()).isGreaterThanOrEqualTo(prompt.tokenAt(12));
  }

  @Test
  void theTokensOfTheReasoningAreThoseWithACharacterOfIt() {
    String text = "The cat ran. The dog sat.\n\nThe cat.";
    int from = text.indexOf("The dog");
    int to = text.indexOf("\n");
    TokenizedPrompt prompt = reasoned(LLAMA3, text, new Span(from, to));
    // " The" is one token, and so are the full stop and the line feeds, which the model wrote.
    assertThat(decoded(LLAMA3, prompt.encoding().ids(), prompt.reasoning()))
        .isEqualTo(" The dog sat.\n\n");
    assertThat(prompt.scoredFrom()).isEqualTo(prompt.reasoning().from());

    TokenizedPrompt without = windowed(LLAMA3, text);
    assertThat(without.reasoning().count()).isZero();
    assertThat(without.scoredFrom()).isEqualTo(without.length());
  }

  @Test
  void aCutInTheReasoningIsRefused() {
    String text = "The cat ran. So it sat.";
    TokenizedPrompt prompt = reasoned(LLAMA3, text, new Span(13, text.length()));
    assertThatThrownBy(() -> prompt.without(List.of(new Span(0, 14))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("not before the reasoning");
  }

  /** " capital" is one token, and without the space several; the others stay as they are. */
  @Test
  void theReasoningIsFoundWhereItsFirstWordIsTheFirstTokenOfThePrompt() {
    String thought = "capital of" + "The cat".repeat(10) + " on the mat \u0800\u0800";
    checkReasoningAfterCut(" ", new Span(0, 1), thought);
  }

  /** Also where the cut changes tokens inside the reasoning, as it can without words. */
  @Property(tries = 300)
  void theReasoningIsFoundInWhatACutLeaves(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b, @ForAll("texts") String thought) {
    if (!thought.isEmpty()) {
      checkReasoningAfterCut(text, span(text, a, b), thought);
    }
  }

  private static void checkReasoningAfterCut(String text, Span cut, String thought) {
    String whole = text + thought + "\n\n";
    Span reasoning = new Span(text.length(), text.length() + thought.length());
    for (Tokenizer tokenizer : List.of(LLAMA3, NONE)) {
      AblatedPrompt ablated = reasoned(tokenizer, whole, reasoning).without(List.of(cut));
      String left = text.substring(0, cut.start()) + text.substring(cut.end());
      Encoding expected = tokenizer.encode(left + thought + "\n\n");
      assertThat(ablated.ids()).isEqualTo(expected.ids());
      for (int t = 0; t < expected.length(); t++) {
        boolean inside =
            expected.ends()[t] > left.length()
                && expected.starts()[t] < left.length() + thought.length();
        assertThat(t >= ablated.reasoning().from() && t < ablated.reasoning().to())
            .isEqualTo(inside && t > 0);
      }
      TokenizedPrompt pruned = reasoned(tokenizer, whole, reasoning).pruned(List.of(cut));
      assertThat(pruned.reasoning()).isEqualTo(ablated.reasoning());
    }
  }

  private static TokenizedPrompt reasoned(Tokenizer tokenizer, String text, Span reasoning) {
    return new TokenizedPrompt(
        tokenizer, text, WINDOWS.getOrDefault(tokenizer, new CutWindow(0)), Optional.of(reasoning));
  }

  private static String decoded(Tokenizer tokenizer, int[] ids, ReasoningTokens tokens) {
    return tokenizer.decode(Arrays.copyOfRange(ids, tokens.from(), tokens.to()), false);
  }

  @Test
  void theToyTokenizersAreLocal() {
    for (Tokenizer tokenizer : List.of(LLAMA3, GPT2, NONE, PREFIXED)) {
      assertThat(CutWindow.isLocal(tokenizer)).isTrue();
    }
  }

  @Test
  void aTokenizerThatLooksAtTheWholeTextIsFoundOutAndNeverGetsAWindow() {
    Tokenizer parity = new LengthDependent();
    assertThat(CutWindow.isLocal(parity)).isFalse();
    String text = "The cat sat on the mat. ".repeat(40);
    Span cut = new Span(480, 505);
    assertThat(windowed(parity, text).without(List.of(cut)).ids())
        .isEqualTo(parity.encode(text.substring(0, 480) + text.substring(505)).ids());
  }

  @Test
  void aTokenizerForWhichNoWindowIsEverFormedIsNotLocal() {
    assertThat(CutWindow.isLocal(new OneToken())).isFalse();
  }

  @Property(tries = 150)
  void aWindowGivesTheTokensOfTheWholeTextWithLlama3Words(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b) {
    assertWindowIsWhole(LLAMA3, text, a, b);
  }

  @Property(tries = 150)
  void aWindowGivesTheTokensOfTheWholeTextWithGpt2Words(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b) {
    assertWindowIsWhole(GPT2, text, a, b);
  }

  @Property(tries = 60)
  void aWindowGivesTheTokensOfTheWholeTextWithoutWords(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b) {
    assertWindowIsWhole(NONE, text, a, b);
    assertWindowIsWhole(PREFIXED, text, a, b);
  }

  @Property(tries = 100)
  void severalCutsGiveTheTokensOfWhatIsLeft(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b) {
    Span first = span(text, a, b);
    String rest = text.substring(first.end());
    Span second = span(rest, b, a).shift(first.end());
    Span third = new Span(text.length(), text.length());
    List<Span> cuts = List.of(first, second, third);
    String left =
        text.substring(0, first.start())
            + text.substring(first.end(), second.start())
            + text.substring(second.end());
    for (Tokenizer tokenizer : List.of(LLAMA3, GPT2, NONE, PREFIXED)) {
      TokenizedPrompt prompt = windowed(tokenizer, text);
      assertThat(prompt.without(cuts).ids()).isEqualTo(tokenizer.encode(left).ids());
      assertThat(prompt.textWithout(cuts)).isEqualTo(left);
    }
  }

  /** Sentences that a caller has marked without the white space between them. */
  @Test
  void ofAParagraphInALongPromptOnlyItsSurroundingsAreTokenized() {
    WatchedTokenizer tokenizer = new WatchedTokenizer(16);
    String text = "The cat sat on the mat. ".repeat(1000);
    List<Span> cuts = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      cuts.add(new Span(12_000 + 24 * i, 12_000 + 24 * i + 23));
    }
    TokenizedPrompt prompt = windowed(tokenizer, text);
    int[] whole = tokenizer.encode(prompt.textWithout(cuts)).ids();
    prompt.without(cuts); // puts the tokenizer to the test
    int before = tokenizer.characters();
    assertThat(prompt.without(cuts).ids()).isEqualTo(whole);
    assertThat(tokenizer.characters() - before).isLessThan(text.length() / 4);
  }

  private static void assertWindowIsWhole(Tokenizer tokenizer, String text, int a, int b) {
    Span cut = span(text, a, b);
    int[] whole =
        tokenizer.encode(text.substring(0, cut.start()) + text.substring(cut.end())).ids();
    AblatedPrompt ablated = windowed(tokenizer, text).without(List.of(cut));
    assertThat(ablated.ids()).isEqualTo(whole);
    int[] full = tokenizer.encode(text).ids();
    for (int i = 0; i < ablated.sharedPrefix(); i++) {
      assertThat(whole[i]).isEqualTo(full[i]);
    }
  }

  private static Span span(String text, int a, int b) {
    int start = whole(text, Math.floorMod(a, text.length() + 1));
    int end = Math.min(text.length(), start + Math.floorMod(b, 60));
    return new Span(start, whole(text, end));
  }

  private static int whole(String text, int at) {
    return at > 0
            && at < text.length()
            && Character.isSurrogatePair(text.charAt(at - 1), text.charAt(at))
        ? at - 1
        : at;
  }

  @Provide
  Arbitrary<String> texts() {
    Arbitrary<String> pieces =
        Arbitraries.of(
            "The cat",
            " sat",
            " on the mat",
            ".",
            ". ",
            ".\n\n",
            "\n",
            " ",
            "   ",
            "1999",
            "1",
            "11",
            "'s",
            "n't",
            "Paris",
            " capital",
            "?",
            "!",
            "東京",
            "。",
            "🎉",
            "e\u0301",
            "\t",
            "aaa",
            "<|end|>",
            "<|",
            "capital of",
            "France",
            "\r\n",
            "__",
            "--");
    Arbitrary<String> random = Arbitraries.strings().withCharRange(' ', '\u2fff').ofMaxLength(5);
    return Arbitraries.frequencyOf(
            net.jqwik.api.Tuple.of(8, pieces), net.jqwik.api.Tuple.of(1, random))
        .list()
        .ofMinSize(1)
        .ofMaxSize(200)
        .map(list -> String.join("", list))
        .filter(text -> !text.isEmpty());
  }

  @Test
  void textsOfMiddleLengthAreReadWholeUntilTheTestOfTheTokenizerPays() {
    Longest tokenizer = new Longest();
    String text = "the cat sat on the mat and saw the dog. ".repeat(100); // 4,000 characters
    assertThat(CutWindow.of(tokenizer)).isSameAs(CutWindow.of(tokenizer));
    TokenizedPrompt prompt = new TokenizedPrompt(tokenizer, text, CutWindow.of(tokenizer));
    List<Span> cut = List.of(new Span(2000, 2040));
    for (int i = 0; i < 100; i++) {
      tokenizer.longest = 0;
      prompt.without(cut);
      assertThat(tokenizer.longest).isEqualTo(text.length() - 40);
    }
    int[] whole = prompt.without(cut).ids(); // the test, and the first window
    tokenizer.longest = 0;
    assertThat(prompt.without(cut).ids()).isEqualTo(whole);
    assertThat(tokenizer.longest).isBetween(1, 1000);
    assertThat(whole).isEqualTo(tokenizer.encode(prompt.textWithout(cut)).ids());
  }

  @Test
  void aLongTextHasAWindowAtOnceAndAShortOneNever() {
    Longest tokenizer = new Longest();
    String text = "the cat sat on the mat and saw the dog. ".repeat(200);
    TokenizedPrompt prompt = new TokenizedPrompt(tokenizer, text, CutWindow.of(tokenizer));
    prompt.without(List.of(new Span(2000, 2040)));
    tokenizer.longest = 0;
    prompt.without(List.of(new Span(4000, 4040)));
    assertThat(tokenizer.longest).isBetween(1, 1000);
    String brief = text.substring(0, 1990);
    TokenizedPrompt other = new TokenizedPrompt(tokenizer, brief, CutWindow.of(tokenizer));
    tokenizer.longest = 0;
    other.without(List.of(new Span(1000, 1040)));
    assertThat(tokenizer.longest).isEqualTo(1950);
  }

  /** Knows how long the longest text was that it was given. */
  private static final class Longest extends ForwardingTokenizer {
    private int longest;

    Longest() {
      super(new ToyTokenizer(ToyTokenizer.GPT2, 200));
    }

    @Override
    public Encoding encode(String text) {
      longest = Math.max(longest, text.length());
      return super.encode(text);
    }
  }

  /** One token per character, whose ids depend on how long the text is. */
  private static class LengthDependent implements Tokenizer {
    @Override
    public Encoding encode(String text) {
      int[] ids = new int[text.length()];
      int[] starts = new int[text.length()];
      int[] ends = new int[text.length()];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = i % 100 == 50 && text.length() % 2 == 0 ? 1 : 0;
        starts[i] = i;
        ends[i] = i + 1;
      }
      return new Encoding(ids, starts, ends);
    }

    @Override
    public String decode(int[] ids, boolean skipSpecialTokens) {
      throw new UnsupportedOperationException();
    }

    @Override
    public int vocabularySize() {
      return 2;
    }

    @Override
    public boolean isSpecial(int id) {
      return false;
    }

    @Override
    public int idOf(String token) {
      return -1;
    }

    @Override
    public void close() {}
  }

  /** Every text is one token: nothing to agree on beside a cut. */
  private static final class OneToken extends LengthDependent {
    @Override
    public Encoding encode(String text) {
      return text.isEmpty()
          ? new Encoding(new int[0], new int[0], new int[0])
          : new Encoding(new int[1], new int[1], new int[] {text.length()});
    }
  }
}
