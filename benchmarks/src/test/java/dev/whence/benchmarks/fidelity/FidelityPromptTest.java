package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.benchmarks.fidelity.FidelityPrompt.Place;
import dev.whence.conversation.Part;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FidelityPromptTest {
  private static final String HOTPOT =
      """
      {"id": "q", "question": "Who?", "answer": "Ada", "paragraphs": [\
      {"title": "A", "sentences": ["One. ", "Two."], "gold": [false, false]},\
      {"title": "B", "sentences": ["Three."], "gold": [false]},\
      {"title": "C", "sentences": ["Four.", "Five.", "Six."], "gold": [false, true, false]}]}
      """;

  @TempDir private Path dir;

  private List<FidelityPrompt> read(String text, int paragraphs, int most) throws IOException {
    return FidelityPrompt.read(
        Files.writeString(dir.resolve("prompts.jsonl"), text), paragraphs, most);
  }

  private static String text(FidelityPrompt prompt) {
    return prompt.conversation().parts().map(Part::text).collect(Collectors.joining());
  }

  @Test
  void aQuestionOfHotpotqaIsAttribotsPromptWithItsSentencesAsSources() throws IOException {
    FidelityPrompt prompt = read(HOTPOT, 0, 0).get(0);
    assertThat(text(prompt))
        .isEqualTo(
            "Answer the question based on the provided context:\n\nContext:\n"
                + "One. Two.\n\nThree.\n\nFour. Five. Six.\n\nQuestion: Who?");
    List<Part> documents = prompt.conversation().parts().filter(Part::attributable).toList();
    assertThat(documents.stream().map(part -> part.sources().size())).containsExactly(2, 1, 3);
    Part last = documents.get(2);
    assertThat(last.sources().stream().map(span -> span.in(last.text())))
        .containsExactly("Four. ", "Five. ", "Six.");
    assertThat(prompt.gold()).containsExactly(new Place("doc-2", 6));
  }

  @Test
  void fewerParagraphsKeepTheMarkedOnesInPlace() throws IOException {
    FidelityPrompt prompt = read(HOTPOT, 2, 0).get(0);
    assertThat(text(prompt)).contains("One. Two.\n\nFour. Five. Six.").doesNotContain("Three");
    assertThat(prompt.gold()).containsExactly(new Place("doc-1", 6));
  }

  @Test
  void recordsAreTakenAsTheyAreAndSomeAreEvenlySpaced() throws IOException {
    String line =
        "{\"responseId\": \"r-%d\", \"messages\": [{\"role\": \"user\", \"content\": \"Who?\"}],"
            + " \"response\": \"Ada\"}\n";
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 6; i++) {
      lines.append(line.formatted(i));
    }
    assertThat(read(lines.toString(), 0, 3).stream().map(p -> p.conversation().responseId()))
        .containsExactly("r-0", "r-2", "r-4");
  }

  @Test
  void whatIsNoPromptIsNamedWithItsLine() {
    assertThatThrownBy(() -> read(HOTPOT + "\n{\"paragraphs\": []}\n", 0, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("line 3")
        .hasMessageContaining("no 'question'");
    assertThatThrownBy(() -> read("{oops\n", 0, 0)).hasMessageContaining("line 1");
    assertThatThrownBy(() -> read("\n", 0, 0)).hasMessageContaining("no prompt");
  }
}
