package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class WordsTest {
  @Test
  void wordsAreRunsOfLettersDigitsAndMarksInLowerCase() {
    assertThat(Words.of("The cat's 2nd, \u00dcber-x\u00b2; na\u0308ive!"))
        .containsExactly("the", "cat", "s", "2nd", "\u00fcber", "x\u00b2", "na\u0308ive");
    assertThat(
            Words.of(
                "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u093e")) // Hindi, with vowel signs
        .containsExactly("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0915\u093e");
    assertThat(Words.of(" ,.- ")).isEmpty();
  }

  @Test
  void aLetterOfAScriptWithoutSpacesIsAWordWithItsMarks() {
    assertThat(Words.of("\u732b\u304c2\u5339GPT\u3082\u3044\u308b"))
        .containsExactly("\u732b", "\u304c", "2", "\u5339", "gpt", "\u3082", "\u3044", "\u308b");
    assertThat(Words.of("\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48")) // Thai, with vowels and tones
        .containsExactly("\u0e17\u0e35\u0e48", "\u0e19\u0e35\u0e48");
    assertThat(Words.of("\ud840\udc00\ud840\udc01")).hasSize(2); // of two code units each
  }

  @Test
  void whereAWordStandsIsToldInUtf16() {
    Words words = new Words("\ud83d\ude00 caf\u00e9");
    assertThat(words.next()).isTrue();
    assertThat(words.start()).isEqualTo(3);
    assertThat(words.end()).isEqualTo(7);
    assertThat(words.next()).isFalse();
  }
}
