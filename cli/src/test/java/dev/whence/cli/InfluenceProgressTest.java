package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.FactorsJob;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InfluenceProgressTest {
  private static final long SECOND = 1_000_000_000L;

  private final AtomicLong now = new AtomicLong();
  private final StringWriter err = new StringWriter();

  private static Progress tokens(long tokens) {
    return new Progress(1, 1, 1, tokens, 0);
  }

  private FactorsJob.Listener listener(Path directory) throws Exception {
    Path corpus = Files.write(directory.resolve("corpus.jsonl"), new byte[1000]);
    return InfluenceCommand.listener(
        new ProgressBar(new PrintWriter(err), /* terminal= */ true, now::get),
        new CorpusFile(corpus));
  }

  /** The first pass took an hour; the second has done 1 % in ten seconds. */
  @Test
  void eachPassHasARateAndATimeLeftOfItsOwn(@TempDir Path directory) throws Exception {
    FactorsJob.Listener listener = listener(directory);
    listener.pass("covariances", 10, tokens(100));
    now.addAndGet(3600 * SECOND);
    listener.pass("covariances", 1000, tokens(10_000));
    listener.pass("Lambda", 10, tokens(100));
    now.addAndGet(10 * SECOND);
    listener.pass("Lambda", 20, tokens(200));
    assertThat(err.toString()).endsWith("200 tokens, 10/s, 980 s left");
  }

  /** Half was done before, of which the rate says nothing. */
  @Test
  void aPassThatGoesOnCountsFromWhereItGoesOn(@TempDir Path directory) throws Exception {
    FactorsJob.Listener listener = listener(directory);
    listener.pass("covariances", 500, tokens(5000));
    assertThat(err.toString()).endsWith("5000 tokens, 0/s");
    now.addAndGet(10 * SECOND);
    listener.pass("covariances", 510, tokens(5100));
    assertThat(err.toString()).endsWith("5100 tokens, 10/s, 490 s left");
  }
}
