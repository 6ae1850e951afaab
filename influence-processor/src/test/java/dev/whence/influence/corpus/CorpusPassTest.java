package dev.whence.influence.corpus;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.Example;
import dev.whence.influence.InfluenceException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
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

  /** A pass over documents by a model that fails on them. */
  private CorpusPass failing(EngineException failure) throws Exception {
    CorpusFile corpus = new CorpusFile(Files.writeString(directory.resolve("corpus.jsonl"), ""));
    CorpusPass pass =
        new CorpusPass(
            Progress.NONE,
            new RejectFile(directory.resolve("rejects.jsonl"), 0),
            1000,
            1000,
            Duration.ofDays(1),
            new SeenCorpus(corpus),
            corpus.digest()) {
          @Override
          protected void compute(List<CorpusDocument> documents) {
            throw failure;
          }

          @Override
          protected void save(Progress done) {}

          @Override
          protected void moved(long bytesRead, Progress done) {}
        };
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
}
