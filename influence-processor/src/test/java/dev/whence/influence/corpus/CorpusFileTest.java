package dev.whence.influence.corpus;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.training.TrainingTexts;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.corpus.CorpusFile.Rejected;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A line that would take the process with it is a problem of that line. */
class CorpusFileTest {
  @TempDir private Path directory;
  private final List<Long> documents = new ArrayList<>();
  private final List<Rejected> rejected = new ArrayList<>();

  private void read(String... lines) throws IOException {
    Path file = Files.write(directory.resolve("corpus.jsonl"), List.of(lines));
    try (ModelFiles model = ModelFiles.open(BundledModels.unpack("tiny-chat"))) {
      TrainingTexts texts =
          new TrainingTexts(model.tokenizer(), model.template(), model.config().maxPositions());
      new CorpusFile(file)
          .read(
              texts,
              Share.ALL,
              0,
              new CorpusFile.Visitor() {
                @Override
                public boolean document(CorpusDocument document) {
                  documents.add(document.reference().line());
                  return true;
                }

                @Override
                public void rejected(Rejected line) {
                  rejected.add(line);
                }
              });
    }
  }

  @Test
  void aLineOfAMillionValuesIsRejectedAndTheNextIsRead() throws IOException {
    read(
        "{\"text\": \"x\", \"y\": [" + "{},".repeat(500_000) + "1]}",
        "{\"text\": \"Dorra lives in Kesta.\"}");
    assertThat(documents).containsExactly(2L);
    assertThat(rejected)
        .containsExactly(
            new Rejected(
                1,
                "the line is too large to read as JSON: at most 20,000,000 characters in a text, 100"
                    + " levels of nesting, and 1,000,000 names, values and brackets together"));
  }

  @Test
  void aTextThatTheTokenizerMustNotBeGivenIsRejectedAndTheNextIsRead() throws IOException {
    String run = " ".repeat(1_000_001);
    read(
        "{\"text\": \"a" + run + "b\"}",
        "{\"responseId\": \"r\", \"prompt\": \"a\", \"response\": \"a" + run + "b\"}",
        "{\"text\": \"Dorra lives in Kesta.\"}");
    assertThat(documents).containsExactly(3L);
    assertThat(rejected).extracting(Rejected::line).containsExactly(1L, 2L);
    assertThat(rejected.get(0).problem())
        .startsWith(
            "the text can not be read: The text has more than 1,000,000 white-space characters");
    assertThat(rejected.get(1).problem()).startsWith("the conversation can not be used: ");
  }
}
