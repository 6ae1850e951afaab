package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.conversation.Span;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class DuplicatesTest {
  private static List<Source> sources(List<String> texts) {
    List<Source> sources = new ArrayList<>();
    for (String text : texts) {
      sources.add(new Source("d", new Span(0, text.length()), text, new Span(0, 0), 0));
    }
    return sources;
  }

  private static List<List<Integer>> groups(String... texts) {
    Duplicates.Groups found = Duplicates.groups(sources(Arrays.asList(texts)), 8);
    assertThat(found.complete()).isTrue();
    return found.groups();
  }

  @Test
  void moreGroupsThanWereAskedForAreSaidToBeThere() {
    List<Source> twice =
        sources(
            List.of(
                "One sentence that stands here twice.",
                "Another one that does so, too.",
                "One sentence that stands here twice.",
                "Another one that does so, too."));
    assertThat(Duplicates.groups(twice, 2).cut()).isFalse();
    Duplicates.Groups one = Duplicates.groups(twice, 1);
    assertThat(one.groups()).containsExactly(List.of(0, 2));
    assertThat(one.complete()).isTrue();
    assertThat(one.cut()).isTrue();
  }

  @Test
  void caseSpaceAndPunctuationMakeNoDifference() {
    assertThat(
            groups(
                "Leland was born in Ohio in 1901. ",
                "He moved away. ",
                "leland  was born in Ohio, in 1901"))
        .containsExactly(List.of(0, 2));
  }

  @Test
  void overlappingChunksAreNearlyTheSameAndOthersAreNot() {
    String words =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
            + " sixteen seventeen eighteen nineteen twenty";
    // 18 runs of three words; one word less at the end: 17 of them
    String chunk = words.substring(0, words.lastIndexOf(' '));
    String half = words.substring(0, words.indexOf(" eleven"));
    assertThat(groups(words, chunk)).containsExactly(List.of(0, 1));
    assertThat(groups(words, half)).isEmpty();
    assertThat(groups(words, chunk, half, words + " more")).containsExactly(List.of(0, 1, 3));
  }

  @Test
  void shortSourcesMustHaveTheSameWords() {
    assertThat(groups("Yes.", "yes", "No.")).containsExactly(List.of(0, 1));
    assertThat(groups("It ran.", "It sat.", "...", "!")).isEmpty();
  }

  @Test
  void otherScriptsAreReadToo() {
    assertThat(
            groups(
                "\u0397 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9"
                    + " \u03b5\u03ba\u03b5\u03af.",
                "\u03b7 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9"
                    + " \u03b5\u03ba\u03b5\u03af"))
        .hasSize(1);
  }

  @Test
  void sentencesWithoutSpacesAreComparedLetterByLetter() {
    String sentence =
        "\u91ce\u732b\u6628\u5929\u665a\u4e0a\u5728\u65e7\u57ce\u7684\u5c4b\u9876\u4e0a\u6293\u4f4f\u4e86\u4e00\u53ea\u5f88\u5927\u7684\u8001\u9f20";
    assertThat(groups(sentence + "\u3002", sentence + "\u5462\u3002")).hasSize(1);
    assertThat(groups(sentence, "\u4eca\u5929" + sentence.substring(12))).isEmpty();
  }

  @Test
  void theLongestGroupsAreKeptAndManySourcesAreFast() {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 1000; i++) {
      texts.add("Sentence number " + i + " says something of its own about thing " + (i * 7));
    }
    texts.addAll(texts.subList(0, 20));
    texts.addAll(Collections.nCopies(500, "The same line stands in every row of this table."));
    List<List<Integer>> groups = groups(texts.toArray(String[]::new));
    assertThat(groups).hasSize(8).allSatisfy(group -> assertThat(group).hasSize(2));
  }

  @Test
  void aSentenceInAnyNumberOfChunksIsOneGroup() {
    for (int chunks : new int[] {64, 65, 3000}) {
      List<String> same = Collections.nCopies(chunks, "The same line stands in every chunk here.");
      assertThat(groups(same.toArray(String[]::new)))
          .singleElement()
          .satisfies(group -> assertThat(group).hasSize(chunks));
      List<String> nearly = new ArrayList<>();
      for (int i = 0; i < chunks; i++) {
        nearly.add(
            "The same line stands in every one of these chunks but for its very last word, which"
                + " is the number "
                + i);
      }
      assertThat(groups(nearly.toArray(String[]::new)))
          .singleElement()
          .satisfies(group -> assertThat(group).hasSize(chunks));
    }
  }

  /** What the definition says, pair by pair. */
  @Property(tries = 300)
  void groupsAreTheConnectedSetsOfSimilarPairs(@ForAll("texts") List<String> texts) {
    List<Set<String>> runs = texts.stream().map(DuplicatesTest::runs).toList();
    int[] label = new int[texts.size()];
    Arrays.setAll(label, i -> i);
    for (int i = 0; i < label.length; i++) {
      for (int j = 0; j < i; j++) {
        Set<String> shared = new HashSet<>(runs.get(i));
        shared.retainAll(runs.get(j));
        Set<String> all = new HashSet<>(runs.get(i));
        all.addAll(runs.get(j));
        if (!shared.isEmpty() && 5 * shared.size() >= 4 * all.size()) {
          int from = label[i];
          int to = label[j];
          Arrays.setAll(label, k -> label[k] == from ? to : label[k]);
        }
      }
    }
    Map<Integer, List<Integer>> expected = new HashMap<>();
    for (int i = 0; i < label.length; i++) {
      expected.computeIfAbsent(label[i], key -> new ArrayList<>()).add(i);
    }
    Duplicates.Groups found = Duplicates.groups(sources(texts), Integer.MAX_VALUE);
    assertThat(found.groups())
        .containsExactlyInAnyOrderElementsOf(
            expected.values().stream().filter(group -> group.size() > 1).toList());
  }

  private static Set<String> runs(String text) {
    String[] words = text.split(" ", -1);
    Set<String> runs = new HashSet<>();
    for (int i = 0; i + 3 <= words.length; i++) {
      runs.add(words[i] + " " + words[i + 1] + " " + words[i + 2]);
    }
    return words.length < 3 ? Set.of(text) : runs;
  }

  /** Texts of up to twenty words of which some are changed, so that many pairs are on the edge. */
  @Provide
  Arbitrary<List<String>> texts() {
    Arbitrary<String> text =
        Arbitraries.integers()
            .between(1, 20)
            .flatMap(
                words ->
                    Arbitraries.integers()
                        .between(0, 60)
                        .map(
                            changed -> {
                              List<String> all = new ArrayList<>();
                              for (int i = 0; i < words; i++) {
                                all.add(i == changed ? "x" : "w" + i);
                              }
                              return String.join(" ", all);
                            }));
    return text.list().ofMaxSize(12);
  }

  @Test
  void theSearchIsBoundedAndSaysSo() {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      texts.add("a b c w" + i + " x" + i + " a b d y" + i + " z" + i + " a b e");
    }
    Duplicates.Groups whole = Duplicates.groups(sources(texts), 8);
    assertThat(whole).isEqualTo(new Duplicates.Groups(List.of(), true, false));
    List<String> alike = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      alike.add("one two three four five six seven eight nine ten eleven twelve " + i);
    }
    assertThat(Duplicates.groups(sources(alike), 8, 50).complete()).isFalse();
  }

  @Test
  void oneEndlessWordAndOneEndlessSentenceAreReadOnce() {
    List<String> texts =
        List.of("a".repeat(4 << 20), "word ".repeat(1 << 20), "a".repeat(4 << 20), "...");
    List<List<Integer>> groups =
        assertTimeoutPreemptively(
            Duration.ofSeconds(60), () -> groups(texts.toArray(String[]::new)));
    assertThat(groups).containsExactly(List.of(0, 2));
  }
}
