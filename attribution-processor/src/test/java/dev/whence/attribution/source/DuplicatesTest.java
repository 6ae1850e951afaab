package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class DuplicatesTest {
  private static List<List<Integer>> groups(String... texts) {
    List<Source> sources = new ArrayList<>();
    for (String text : texts) {
      sources.add(new Source("d", new Span(0, text.length()), text, new Span(0, 0), 0));
    }
    return Duplicates.groups(sources, 8);
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
                "\u0397 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9 \u03b5\u03ba\u03b5\u03af.",
                "\u03b7 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9 \u03b5\u03ba\u03b5\u03af"))
        .hasSize(1);
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
}
