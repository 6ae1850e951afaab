package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class EchoesTest {

  @Test
  void withoutAnEchoAllAreAfterTheCut() {
    Context text = new Context("He stood alone . It was old . One left Heb ron again .");
    Echoes echoes = text.echoes("nothing of it");
    // "alone" stands nowhere else, "." stands for no word, "He" is another word than "Heb"
    assertThat(echoes.healed(0, 3, text.tokens(), 0)).isEmpty();
    assertThat(echoes.healed(0, 3, text.tokens(), 1)).containsExactly(3);
    assertThat(echoes.healed(0, 3, text.tokens(), 4)).containsExactly(3, 4, 5, 6);
  }

  @Test
  void aWordIsTheSameHoweverItIsTokenisedAndWritten() {
    Context text = new Context("Heb|ron stood . All of them saw it and left HEBRON at last , then");
    assertThat(text.echoes("").healed(0, 3, text.tokens(), 4))
        .containsExactly(3, 4, 5, text.at("HEBRON"));
  }

  @Test
  void eachTokenOfARepeatedWordIsHealed() {
    Context text = new Context("Hebron stood . All of them saw it and left Heb|ron at last");
    int heb = text.at("Heb");
    assertThat(text.echoes("").healed(0, 2, text.tokens(), 4)).containsExactly(2, 3, heb, heb + 1);
  }

  @Test
  void wordsOfTheResponseComeFirstThenRareOnes() {
    Context text =
        new Context("the cat saw Ann . no one was in the house where the cat met Ann and Bob");
    int after = text.at(".");
    int ann = text.last("Ann");
    int cat = text.last("cat");
    assertThat(text.echoes("It was Ann.").healed(0, after, text.tokens(), 2))
        .containsExactly(after, ann);
    assertThat(text.echoes("It was the cat.").healed(0, after, text.tokens(), 2))
        .containsExactly(after, cat);
    assertThat(text.echoes("Who?").healed(0, after, text.tokens(), 4))
        .as("the is there three times")
        .containsExactly(after, after + 1, cat, ann);
  }

  @Test
  void aNameCountsAsOneWordHoweverManyTokensItHas() {
    Context text =
        new Context("Heb|ron|itz a . Then a man saw it , a cat , and a dog in Heb|ron|itz today");
    int after = text.at(".");
    int name = text.last("Heb");
    assertThat(text.echoes("").healed(0, after, text.tokens(), 6))
        .containsExactly(after, after + 1, after + 2, name, name + 1, name + 2);
  }

  @Test
  void tokensOfOneCharacterAreThoseOfItsWord() {
    // each ideograph in two tokens of bytes, the first two of which share a range
    Echoes echoes =
        Echoes.of(
            new int[] {0, 0, 0, 2, 3, 3, 4, 5, 5},
            new int[] {2, 2, 2, 3, 4, 4, 5, 6, 6},
            "東京。北、京",
            "");
    assertThat(echoes.healed(1, 3, 9, 4)).containsExactly(3, 4, 7, 8);
  }

  @Test
  void onlyWordsAfterTheCutAndBeforeTheEndAreEchoes() {
    Context text = new Context("Ann came . Bob and Ann left . Then it rained on Ann again");
    int[] healed = text.echoes("").healed(4, 8, text.last("Ann"), 2);
    assertThat(healed).as("no echo of 'and Ann left' is left").containsExactly(8, 9);
  }

  @Test
  void anIdeographIsAWord() {
    Context text = new Context("東京|は|大きい。|そして|人が|多い。|私は|京都|に|行く");
    assertThat(text.echoes("").healed(0, 1, text.tokens(), 2))
        .as("the 京 of 京都")
        .containsExactly(1, text.at("京都"));
  }

  @Property(tries = 500)
  void soManyAreHealedInOrderAndHalfOfThemAfterTheCut(
      @ForAll long seed,
      @ForAll @IntRange(min = 0, max = 10) int cut,
      @ForAll @IntRange(min = 1, max = 10) int removed,
      @ForAll @IntRange(min = 0, max = 30) int most) {
    Random random = new Random(seed);
    StringBuilder words = new StringBuilder();
    for (int i = 0; i < 40; i++) {
      words.append((char) ('a' + random.nextInt(8))).append(random.nextBoolean() ? ' ' : '|');
    }
    Context text = new Context(words.toString().strip());
    int to = cut + removed;
    int end = text.tokens() - random.nextInt(5);
    int[] healed = text.echoes("a c").healed(cut, to, end, most);
    assertThat(healed).hasSize(Math.min(most, end - to)).isSorted().doesNotHaveDuplicates();
    assertThat(IntStream.of(healed).allMatch(t -> t >= to && t < end)).isTrue();
    int near = Math.min(healed.length, most - most / 2);
    for (int i = 0; i < near; i++) {
      assertThat(healed[i]).isEqualTo(to + i);
    }
  }

  /** Tokens between spaces, which belong to the token before them, and bars, which are not text. */
  private static final class Context {
    private final List<String> pieces = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();
    private final int[] starts;
    private final int[] ends;

    Context(String marked) {
      for (String piece : marked.split("(?<= )|\\|", -1)) {
        pieces.add(piece);
      }
      starts = new int[pieces.size()];
      ends = new int[pieces.size()];
      for (int i = 0; i < starts.length; i++) {
        starts[i] = text.length();
        text.append(pieces.get(i));
        ends[i] = text.length();
      }
    }

    Echoes echoes(String said) {
      return Echoes.of(starts, ends, text.toString(), said);
    }

    int tokens() {
      return starts.length;
    }

    int at(String piece) {
      return pieces.stream().map(String::strip).toList().indexOf(piece);
    }

    int last(String piece) {
      return pieces.stream().map(String::strip).toList().lastIndexOf(piece);
    }
  }
}
