package dev.whence.attribution.tokens;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Cuts with the native library's tokenizers: words as Llama 3 cuts them, as Qwen2 does after NFC,
 * and none as in SentencePiece models (the engine's small_tokenizers.py). In all of them a full
 * stop and the line breaks after it are in one token, which the end of one source and the beginning
 * of the next share.
 */
class NativeWindowsTest {
  private static final Path FIXTURES =
      Path.of("../engine/src/test/resources/fixtures/text/tokenizers");

  /** Each tokenizer, with windows wherever the text is long enough for one. */
  private static final Map<Tokenizer, CutWindow> WINDOWS = new LinkedHashMap<>();

  @BeforeAll
  @BeforeContainer
  static void open() throws IOException {
    for (String name : List.of("llama3", "qwen2", "llama2")) {
      Path file = FIXTURES.resolve(name + ".json");
      WINDOWS.put(
          NativeTokenizer.of(new ObjectMapper().readTree(file.toFile()), name), new CutWindow(0));
    }
  }

  @AfterAll
  @AfterContainer
  static void close() {
    WINDOWS.keySet().forEach(Tokenizer::close);
    WINDOWS.clear();
  }

  @Test
  void windowsAreUsedForAllOfThem() {
    for (Tokenizer tokenizer : WINDOWS.keySet()) {
      assertThat(CutWindow.isLocal(tokenizer)).isTrue();
    }
  }

  @Test
  void aTokenThatTwoSourcesShareIsTokenisedAnewWhereOneOfThemGoes() {
    String text = "The cat sat on the mat.\n\nThe dog sat on the log. ".repeat(60);
    int dot = text.indexOf(".\n\n", text.length() / 2);
    for (Map.Entry<Tokenizer, CutWindow> each : WINDOWS.entrySet()) {
      Tokenizer tokenizer = each.getKey();
      TokenizedPrompt prompt = new TokenizedPrompt(tokenizer, text, each.getValue());
      Encoding encoding = prompt.encoding();
      int shared = prompt.tokenAt(dot + 1) - 1;
      assertThat(encoding.starts()[shared]).isLessThanOrEqualTo(dot);
      assertThat(encoding.ends()[shared]).isGreaterThan(dot + 1);
      for (Span cut : List.of(new Span(dot - 22, dot + 1), new Span(dot + 1, dot + 25))) {
        AblatedPrompt ablated = prompt.without(List.of(cut));
        assertThat(ablated.retokenized()).isTrue();
        assertThat(ablated.ids()).isEqualTo(whole(tokenizer, text, cut));
      }
    }
  }

  @Property(tries = 200)
  void aWindowGivesTheTokensOfTheWholeText(
      @ForAll("texts") String text, @ForAll int a, @ForAll int b) {
    for (Map.Entry<Tokenizer, CutWindow> each : WINDOWS.entrySet()) {
      Span cut = span(text, a, b);
      AblatedPrompt ablated =
          new TokenizedPrompt(each.getKey(), text, each.getValue()).without(List.of(cut));
      assertThat(ablated.ids()).isEqualTo(whole(each.getKey(), text, cut));
    }
  }

  /** Source by source, as leave-one-out cuts: every sentence with what stands behind it. */
  @Property(tries = 50)
  void everySentenceOfATextCanBeCut(@ForAll("texts") String text) {
    for (Map.Entry<Tokenizer, CutWindow> each : WINDOWS.entrySet()) {
      TokenizedPrompt prompt = new TokenizedPrompt(each.getKey(), text, each.getValue());
      int start = 0;
      for (int end = 1; end <= text.length(); end++) {
        if (end == text.length() || ".?!。\n".indexOf(text.charAt(end - 1)) >= 0) {
          Span cut = new Span(start, end);
          assertThat(prompt.without(List.of(cut)).ids()).isEqualTo(whole(each.getKey(), text, cut));
          start = end;
        }
      }
    }
  }

  private static int[] whole(Tokenizer tokenizer, String text, Span cut) {
    return tokenizer.encode(text.substring(0, cut.start()) + text.substring(cut.end())).ids();
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
            "\u0301",
            "\u0323",
            "e",
            "\t",
            "<|end|>",
            "</s>",
            "<|",
            "France",
            "\r\n",
            "__",
            "--");
    Arbitrary<String> random = Arbitraries.strings().withCharRange(' ', '\u2fff').ofMaxLength(5);
    return Arbitraries.frequencyOf(Tuple.of(8, pieces), Tuple.of(1, random))
        .list()
        .ofMinSize(1)
        .ofMaxSize(200)
        .map(list -> String.join("", list))
        .filter(text -> !text.isEmpty());
  }
}
