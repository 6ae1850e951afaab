package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.attribution.source.Partitioner;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CitationMarksTest {
  private static Part titled(String id, String title) {
    return new Part(PartKind.RETRIEVED, id, title, "", Trust.RETRIEVED, "A text.", true, List.of());
  }

  private static Conversation answer(String response, String finishReason) {
    return Conversations.of(
        response,
        finishReason,
        instruction("Answer from the documents."),
        document("doc-7", "The cat sat on the mat."),
        Part.of(PartKind.HISTORY, "h", "Hello."),
        Part.of(PartKind.TOOL_OUTPUT, "weather", "It rains."),
        titled("l", "Leland, Ohio"),
        titled("t1", "Twice"),
        titled("t2", "Twice"),
        question("Where is the cat?"));
  }

  private static List<String> cited(String response) {
    return CitationMarks.in(answer(response, "stop")).stream().map(Citation::segment).toList();
  }

  @Test
  void aNumberIsThePlaceAmongTheDocumentsAndToolOutputs() {
    assertThat(cited("It is here[1]. It rains [2].")).containsExactly("doc-7", "weather");
    assertThat(cited("Both [1, 2], and again [1][2]; once more [2;1]."))
        .containsExactly("doc-7", "weather", "doc-7", "weather", "weather", "doc-7");
  }

  @Test
  void aMarkMayBeADocumentsIdOrItsOnlyTitle() {
    assertThat(cited("Here [doc-7] and there [Leland, Ohio] and [weather, l]."))
        .containsExactly("doc-7", "l", "weather", "l");
    assertThat(cited("Which one? [Twice]")).isEmpty();
  }

  @Test
  void anIdWinsOverANumber() {
    Conversation conversation =
        Conversations.of("So [2].", "stop", document("2", "One."), document("1", "Two."));
    assertThat(CitationMarks.in(conversation)).extracting(Citation::segment).containsExactly("2");
  }

  /** Where the statement is that each mark speaks of. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "First. Second [2]. Third.                   | Second",
        "First. Second.[2] Third.                    | Second",
        "First. Second. [2] Third.                   | Second",
        "First. Second. ([2]) Third.                 | Second",
        "First. **Second.** **[2]** Third.           | Second",
        "First. Second. [1][2] [doc-7] Third.        | Second, Second, Second",
        "First. [1] Second. [2] Third.               | First, Second",
        "First. [1], [2] Second.                     | First, First",
        "First. ([1]) [2] Second.                    | First, First",
        "First. Second. ([1]; [2]) Third.            | Second, Second",
        "Found:~**[1]** First.~**[2]** Second.~So.   | [1], [2]",
        "Found:~* **[1]** First.~* [2] Second.~So.   | [1], [2]",
        "Found:~([1]) First.~So.                     | [1]",
        "According to [1] First. Second.             | According",
        "[1] First. [2] Second.                      | [1], [2]",
        "- [1] First.~- [2] Second.~So.              | [1], [2]",
        "1. First. [1]~2. Second. [2]~So.            | First, Second",
        "- First. [1]~- Second. [2]~So.              | First, Second",
        "- First.~  [1]~- Second. [2]~So.            | First, Second",
        "[1]~First. [2]                              | [1], First",
        "First. Second.~~[1]~~So.                    | [1]",
        "First. Second.~ ~[1] and so on.~So.         | [1]",
        "First. `code` [1] and so on.                | `code`",
      })
  void aMarkSpeaksOfWhatStandsBeforeItButWhereItBeginsALine(String shown, String expected) {
    String response = shown.replace('~', '\n');
    List<Span> statements = new Partitioner().sentences(response);
    List<String> subjects = new ArrayList<>();
    for (Citation citation : CitationMarks.in(answer(response, "stop"))) {
      subjects.add(
          statements.stream()
              .filter(one -> one.start() <= citation.span().start())
              .reduce((one, next) -> next)
              .orElseThrow()
              .in(response));
    }
    String[] each = expected.split(", ", -1);
    assertThat(subjects).hasSameSizeAs(each);
    for (int i = 0; i < each.length; i++) {
      assertThat(subjects.get(i)).contains(each[i]);
    }
  }

  @Test
  void whiteSpaceOfAnyKindBeforeAMarkIsReadOnce() {
    for (char white : new char[] {' ', '\f', '\u000b', '\n', '\u00a0', '*', ','}) {
      Conversation conversation =
          answer("So." + String.valueOf(white).repeat(1_000_000) + "[1] and so on.\nSo.", "stop");
      assertThat(
              assertTimeoutPreemptively(
                  Duration.ofSeconds(20), () -> CitationMarks.in(conversation)))
          .hasSize(1);
    }
  }

  @Test
  void boldWordsAndLinksAreNoCode() {
    assertThat(cited("He was **born in Ohio[1]** and in Rome[2](https://a.b).")).hasSize(2);
    assertThat(cited("In Rome[2](#weather) and **Paris[1] ** too.")).hasSize(2);
    assertThat(cited("a[1] * 2 and a[1]*b and f[1](x)")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "None.",
        "Out of range [6], [0], [-1], [1.5], [99999999999].",
        "An interval [0, 1], and [1, 6].",
        "Other brackets [h], [question], [instruction], [sic], [], [ ], [1",
        "Code: `a[1]` and ``b [2]`` .",
        "A block:\n```java\nint x = y [1];\n```\nDone.",
        "A block that was cut off:\n```\ny [1]",
        "Tildes:\n~~~\ny [1]\n~~~",
        "a[1] = 2",
        "x[1]+=y[2].z",
        "f[1](2)",
        "{\"a\": \"[1]\"}",
        " [1, 2] ",
        "[{\"name\": \"f\", \"arguments\": \"see [1] \"}]",
        "It is so.\n\nSources:\n[1] The cat\n- [2] The weather\n",
        "It is so.\r\n\r\n[1] The cat\r\n[2] The weather"
      })
  void codeJsonReferencesAndWhatIsOutOfRangeAreNoCitations(String response) {
    assertThat(cited(response)).isEmpty();
  }

  @Test
  void proseWithBracketsOfItsOwnKeepsItsMarks() {
    assertThat(cited("[1] says so.")).containsExactly("doc-7");
    assertThat(cited("`quoted` [1] and 5 ` [2]")).containsExactly("doc-7", "weather");
    assertThat(cited("It is so [1].\n[1] The cat\n[2] The weather")).containsExactly("doc-7");
    assertThat(cited("{so} [1]")).containsExactly("doc-7");
  }

  @Test
  void aToolCallCitesNothing() {
    for (String reason : List.of("tool_calls", "tool_use", "function_call")) {
      assertThat(CitationMarks.in(answer("find(x) [1]", reason))).isEmpty();
    }
  }

  @Test
  void aPromptWithoutDocumentsHasNothingToCite() {
    assertThat(CitationMarks.in(Conversations.of("It is so [1].", "stop", question("Is it [1]?"))))
        .isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[",
        "]",
        "[1]",
        "`",
        "``` ",
        "[1,",
        "[a",
        "\n",
        "\n[1]",
        "[[",
        "` [1]",
        ". [1]",
        "a\n[1] b ",
        "[1]  ",
        "*[1]("
      })
  void aResponseOfAMillionCharactersIsReadOnce(String piece) {
    Conversation conversation = answer("So. " + piece.repeat(1_000_000 / piece.length()), "stop");
    List<Citation> citations =
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> CitationMarks.in(conversation));
    assertThat(citations).hasSizeLessThan(400_000);
  }
}
