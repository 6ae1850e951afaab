package dev.whence.influence.corpus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.Example;
import dev.whence.influence.InfluenceException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorpusPassTest {
  @TempDir private Path directory;

  private static CorpusDocument document(long line, int tokens) {
    return new CorpusDocument(
        new CorpusDocument.Reference(line, 0, 0),
        "line-" + line,
        "",
        List.of(new Example(new int[tokens], new float[tokens])));
  }

  private Path rejects() {
    return directory.resolve("rejects.jsonl");
  }

  /** A pass from where earlier ones came to. */
  private CorpusPass pass(Progress start, Consumer<List<CorpusDocument>> compute) throws Exception {
    CorpusFile corpus = new CorpusFile(Files.writeString(directory.resolve("corpus.jsonl"), ""));
    return new CorpusPass(
        start,
        new RejectFile(rejects(), start.rejected()),
        1000,
        1000,
        Duration.ofDays(1),
        new SeenCorpus(corpus),
        corpus.digest()) {
      @Override
      protected void compute(List<CorpusDocument> documents) {
        compute.accept(documents);
      }

      @Override
      protected void save(Progress done) {}

      @Override
      protected void moved(long bytesRead, Progress done) {}
    };
  }

  /** A pass over documents by a model that fails on them. */
  private CorpusPass failing(EngineException failure) throws Exception {
    CorpusPass pass =
        pass(
            Progress.NONE,
            documents -> {
              throw failure;
            });
    pass.document(document(3, 2));
    pass.document(document(4, 900));
    pass.document(document(7, 5));
    return pass;
  }

  @Test
  void theLongestOfTheDocumentsThatTheModelFailedOnIsNamed() throws Exception {
    CorpusPass pass =
        failing(
            EngineException.outOfMemory(
                "The device ran out of memory.", new IllegalStateException()));
    assertThatThrownBy(pass::finish)
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("that at line 4 of the corpus is the longest (900 tokens at once)")
        .hasMessageContaining("The device ran out of memory. ")
        .hasMessageContaining("split that document into several lines");
    assertThatThrownBy(failing(new EngineException(Kind.RECORD, "Not finite."))::finish)
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("that at line 4 of the corpus is the longest")
        .hasMessageEndingWith("Not finite.");
  }

  @Test
  void aDeviceThatFailsSaysNothingOfTheDocuments() throws Exception {
    EngineException lost = new EngineException(Kind.ENVIRONMENT, "The device is gone.");
    assertThatThrownBy(failing(lost)::finish).isSameAs(lost);
  }

  private long written() throws Exception {
    try (Stream<String> lines = Files.lines(rejects())) {
      return lines.count();
    }
  }

  /** They come to the file by themselves; a run that goes on forgets those after its state. */
  @Test
  void linesThatAreNoDocumentsDoNotGatherInMemoryWhereNoDocumentComes() throws Exception {
    CorpusPass cut = pass(Progress.NONE, documents -> {});
    int lines = 3 * RejectFile.MOST_PENDING;
    for (int line = 1; line <= lines; line++) {
      cut.rejected(new CorpusFile.Rejected(line, "the line is no JSON"));
      if (line % 1000 == 0 && line >= RejectFile.MOST_PENDING) {
        assertThat(line - written()).isLessThan(RejectFile.MOST_PENDING);
      }
    }
    CorpusPass next = pass(new Progress(5, 0, 0, 0, 5), documents -> {});
    next.rejected(new CorpusFile.Rejected(6, "the line is no JSON object"));
    assertThat(next.finish().rejected()).isEqualTo(6);
    assertThat(Files.readAllLines(rejects()))
        .hasSize(6)
        .last()
        .isEqualTo("{\"line\":6,\"problem\":\"the line is no JSON object\"}");
  }

  /** In a directory that others can write to, somebody may have left one. */
  @Test
  void aLinkInTheListsPlaceIsNotFollowed() throws Exception {
    Path theirs = Files.writeString(directory.resolve("theirs"), "theirs");
    Files.createSymbolicLink(rejects(), theirs);
    RejectFile file = new RejectFile(rejects(), 0);
    file.add(new CorpusFile.Rejected(1, "the line is no JSON"));
    assertThatThrownBy(file::save)
        .isInstanceOf(InfluenceException.class)
        .hasMessage(
            rejects() + " could not be written (it is a link, which is not followed here).");
    assertThat(theirs).hasContent("theirs");
  }
}
