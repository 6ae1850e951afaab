package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.conversation.Span;
import java.time.Duration;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PartitionerTest {
  private final Partitioner partitioner = new Partitioner();

  private List<String> sentences(String text) {
    return partitioner.sentences(text).stream().map(span -> span.in(text)).toList();
  }

  private List<String> paragraphs(String text) {
    return partitioner.paragraphs(text).stream().map(span -> span.in(text)).toList();
  }

  @Test
  void aSentenceOwnsTheSpaceAfterItAndAParagraphBreakBelongsToNone() {
    assertThat(sentences("One is here. Two is there.  \n\n\tThree ends.\n"))
        .containsExactly("One is here. ", "Two is there.", "Three ends.\n");
  }

  @Test
  void spaceBeforeTheFirstSentenceBelongsToNone() {
    assertThat(sentences("  \n One. Two.")).containsExactly("One. ", "Two.");
  }

  @Test
  void paragraphsEndAtBlankLinesOfAnyKind() {
    assertThat(paragraphs("a\nb\n\nc\r\n\r\nd\u2029e\n \t\nf\r\ng"))
        .containsExactly("a\nb", "c", "d", "e", "f\r\ng");
  }

  @Test
  void whiteSpaceAloneHasNoParts() {
    assertThat(sentences("")).isEmpty();
    assertThat(sentences(" \n\n \u00a0 \u3000")).isEmpty();
    assertThat(paragraphs(" \n\n ")).isEmpty();
  }

  @Test
  void abbreviationsInitialsAndNumbersDoNotEndSentences() {
    assertThat(
            sentences("Dr. Smith of the U.S. Army paid $3.50. He met J. K. Rowling, e.g. twice."))
        .containsExactly(
            "Dr. Smith of the U.S. Army paid $3.50. ", "He met J. K. Rowling, e.g. twice.");
    assertThat(sentences("He plays piano. She sings. Call it a co. They do."))
        .containsExactly("He plays piano. ", "She sings. ", "Call it a co. ", "They do.");
    assertThat(sentences("She said go. Then it was up. It turned on. We left.")).hasSize(4);
  }

  @Test
  void chineseAndJapaneseNeedNoSpaces() {
    assertThat(sentences("東京は日本の首都です。人口は約1400万人です。"))
        .containsExactly("東京は日本の首都です。", "人口は約1400万人です。");
    assertThat(sentences("你好,世界!今天天气很好。我们走吧?好。"))
        .containsExactly("你好,世界!", "今天天气很好。", "我们走吧?", "好。");
  }

  @Test
  void hindiEndsWithADandaAndArabicWithItsOwnQuestionMark() {
    assertThat(sentences("यह पहला वाक्य है। यह दूसरा है।"))
        .containsExactly("यह पहला वाक्य है। ", "यह दूसरा है।");
    assertThat(sentences("هل تفهم؟ نعم أفهم. شكرا."))
        .containsExactly("هل تفهم؟ ", "نعم أفهم. ", "شكرا.");
  }

  @Test
  void thaiEndsClausesWithASpace() {
    assertThat(sentences("ประเทศไทยมีเมืองหลวง กรุงเทพเป็นเมืองใหญ่ ปี 2563 มีคนมาก"))
        .containsExactly("ประเทศไทยมีเมืองหลวง ", "กรุงเทพเป็นเมืองใหญ่ ", "ปี 2563 มีคนมาก");
  }

  @Test
  void surrogatePairsStayWhole() {
    assertThat(sentences("Party 🎉. Next 👩‍👩‍👧‍👦! 𝒳 is a letter. 🇩🇪"))
        .containsExactly("Party 🎉. ", "Next 👩‍👩‍👧‍👦! ", "𝒳 is a letter. ", "🇩🇪");
  }

  @Test
  void listItemsAreSentencesAndTheirMarkersAreNot() {
    assertThat(sentences("1. Wash it.\n2. Dry it.\n- Fold it\n- Done\n"))
        .containsExactly("1. Wash it.\n", "2. Dry it.\n", "- Fold it\n", "- Done\n");
  }

  @Test
  void hardWrappedLinesAreOneSentence() {
    assertThat(sentences("The quick brown\nfox jumps over\nthe dog. It\nwas lazy."))
        .containsExactly("The quick brown\nfox jumps over\nthe dog. ", "It\nwas lazy.");
  }

  @Test
  void referenceMarksStayWithTheirSentence() {
    assertThat(sentences("It is so.[1][12] Next one.[a] Last."))
        .containsExactly("It is so.[1][12] ", "Next one.[a] ", "Last.");
  }

  @Test
  void twoThousandSentencesAreTwoThousandSpans() {
    assertThat(sentences("The cat sat on the mat. ".repeat(2000))).hasSize(2000);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "..A",
        "A.",
        "a",
        ".",
        "\n",
        " ",
        ". ",
        ".\n",
        "a\nb",
        ".[1]",
        "[",
        "1. ",
        "ไทย ",
        "🎉",
        "🎉.",
        "\ud83d",
        "\udf89.",
        ".)\u00a0",
        "\r",
        "\u2028",
        "A. 1 ",
        "東。"
      })
  void aTextOfOneMillionCharactersIsCutInOneReading(String piece) {
    String text = piece.repeat(1_000_000 / piece.length());
    List<Span> spans =
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> partitioner.sentences(text));
    assertThat(spans.stream().mapToInt(Span::length).sum()).isLessThanOrEqualTo(text.length());
  }

  @Test
  void initialsAreNoEndHoweverLongTheTextBeforeThem() {
    assertThat(sentences("a".repeat(50) + ". J.R.R. Tolkien wrote it. Ph.D. Smith did not."))
        .containsExactly(
            "a".repeat(50) + ". ", "J.R.R. Tolkien wrote it. ", "Ph.D. Smith did not.");
  }

  @Property(tries = 300)
  void partsAreSortedDisjointVisibleAndCoverEverythingButBreaks(@ForAll("texts") String text) {
    List<Span> sentences = partitioner.sentences(text);
    List<Span> paragraphs = partitioner.paragraphs(text);
    int end = 0;
    for (Span sentence : sentences) {
      assertThat(sentence.start()).isGreaterThanOrEqualTo(end);
      assertThat(sentence.in(text).chars().allMatch(c -> WhiteSpace.isWhite((char) c))).isFalse();
      assertOnlyWhite(text.substring(end, sentence.start()));
      assertThat(splitsPair(text, sentence.start()) || splitsPair(text, sentence.end())).isFalse();
      assertThat(paragraphs)
          .anyMatch(p -> p.start() <= sentence.start() && sentence.end() <= p.end());
      end = sentence.end();
    }
    assertOnlyWhite(text.substring(end));
  }

  private static void assertOnlyWhite(String gap) {
    assertThat(gap.chars().allMatch(c -> WhiteSpace.isWhite((char) c))).isTrue();
  }

  private static boolean splitsPair(String text, int at) {
    return at > 0
        && at < text.length()
        && Character.isSurrogatePair(text.charAt(at - 1), text.charAt(at));
  }

  @Provide
  Arbitrary<String> texts() {
    Arbitrary<String> pieces =
        Arbitraries.of(
            "Hello",
            " ",
            "  ",
            ".",
            ". ",
            "!",
            "?",
            "\n",
            "\n\n",
            "\r\n",
            "Dr. ",
            "1. ",
            "- ",
            "東京。",
            "你好",
            "ไทย",
            " กข",
            "हिन्दी। ",
            "هل؟ ",
            "🎉",
            "👍🏽",
            "[1]",
            "\"",
            ")",
            "\u00a0",
            "e.g.",
            "\u2029",
            "x",
            "3.14",
            "\ud83d");
    Arbitrary<String> random = Arbitraries.strings().all().ofMaxLength(6);
    return Arbitraries.frequencyOf(
            net.jqwik.api.Tuple.of(5, pieces), net.jqwik.api.Tuple.of(1, random))
        .list()
        .ofMaxSize(40)
        .map(list -> String.join("", list));
  }
}
