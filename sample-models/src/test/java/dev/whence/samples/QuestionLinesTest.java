package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Part;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuestionLinesTest {
  private static final List<Question> QUESTIONS =
      LongStream.range(0, 60)
          .mapToObj(
              new Questions(World.v1(1), QuestionOptions.evaluation(4, Kind.values()))::question)
          .toList();

  @Test
  void aLineReadsBackAsTheConversationItWas() {
    for (Question question : QUESTIONS) {
      assertThat(ConversationCodec.read(QuestionLines.answered(question)))
          .isEqualTo(question.answered());
      assertThat(ConversationCodec.readPrompt(QuestionLines.unanswered(question)))
          .isEqualTo(question.conversation());
    }
  }

  @Test
  void theTruthStandsInTheAttributes() {
    int withTruth = 0;
    for (Question question : QUESTIONS) {
      Conversation read = ConversationCodec.read(QuestionLines.answered(question));
      assertThat(read.attributes())
          .containsEntry("kind", question.kind().name())
          .containsEntry("expected", question.response())
          .containsEntry("fact", question.fact())
          .containsEntry("sentences", Integer.toString(question.sentences()));
      assertThat(QuestionLines.truth(read)).isEqualTo(question.truth());
      assertThat(QuestionLines.overridden(read)).isEqualTo(question.overridden());
      for (Evidence evidence : QuestionLines.truth(read)) {
        Part part =
            read.parts().filter(one -> one.id().equals(evidence.part())).findFirst().orElseThrow();
        assertThat(part.attributable()).isTrue();
        assertThat(evidence.span().in(part.text())).endsWith(".").matches("[A-Z].*");
        withTruth++;
      }
    }
    assertThat(withTruth).isPositive();
  }

  @Test
  void aFileHasALineForEachQuestion(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("questions.jsonl");
    QuestionLines.write(file, QUESTIONS, false);
    List<Conversation> read =
        Files.readAllLines(file).stream().map(ConversationCodec::readPrompt).toList();
    assertThat(read).isEqualTo(QUESTIONS.stream().map(Question::conversation).toList());
  }

  @Test
  void aConversationFromElsewhereHasNoTruth() {
    Conversation other =
        ConversationCodec.read(
            """
            {"responseId": "r-1", "messages": [{"role": "user", "content": "Why?"}], "response": ""}
            """);
    assertThatThrownBy(() -> QuestionLines.truth(other))
        .hasMessageContaining("r-1")
        .hasMessageContaining("truth");
  }
}
