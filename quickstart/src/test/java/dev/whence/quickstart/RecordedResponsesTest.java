package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Conversation;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordedResponsesTest {
  private static final String RECORD =
      """
      {"responseId": "%s", "messages": [{"role": "user", "content": "Where?"}], \
      "response": "Here.", "finishReason": "stop"}
      """;

  @TempDir Path directory;

  private static List<String> ids(Path file, int count) throws Exception {
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    List<String> ids = new ArrayList<>();
    try (PrintStream stream = new PrintStream(errors, false, StandardCharsets.UTF_8);
        RecordedResponses responses = new RecordedResponses(file, stream)) {
      for (int i = 0; i < count; i++) {
        ids.add(responses.next().map(Conversation::responseId).orElseThrow());
      }
    }
    assertThat(errors.toString(StandardCharsets.UTF_8)).isEmpty();
    return ids;
  }

  @Test
  void laterRoundsHaveTheirNumberAfterTheIdsWhichStayAsLongAsIdsMayBe() throws Exception {
    String longest = "x".repeat(254) + "\ud83d\ude00";
    Path file =
        Files.writeString(
            directory.resolve("records.jsonl"),
            RECORD.formatted("r-1") + RECORD.formatted(longest));

    List<String> ids = ids(file, 6);

    assertThat(ids)
        .containsExactly(
            "r-1", longest, "r-1-2", "x".repeat(254) + "-2", "r-1-3", "x".repeat(254) + "-3")
        .allMatch(id -> id.length() <= 256);
  }

  @Test
  void aCompressedFileIsReadInEveryRound() throws Exception {
    Path file = directory.resolve("records.jsonl.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
      out.write(RECORD.formatted("r-1").getBytes(StandardCharsets.UTF_8));
    }
    assertThat(ids(file, 2)).containsExactly("r-1", "r-1-2");
  }
}
