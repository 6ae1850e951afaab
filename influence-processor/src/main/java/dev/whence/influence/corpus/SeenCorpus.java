package dev.whence.influence.corpus;

import dev.whence.files.FileIdentity;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.util.Optional;

/**
 * A corpus and its digest. A file may be replaced, or written to, while it is in use: whether it
 * was costs a look at its size and time, and only then is it read as a whole again. Not
 * thread-safe.
 */
public final class SeenCorpus {
  private final CorpusFile corpus;
  private Optional<Seen> seen = Optional.empty();

  private record Seen(FileIdentity file, String digest) {}

  /** It is not looked at yet. */
  public SeenCorpus(CorpusFile corpus) {
    this.corpus = corpus;
  }

  /**
   * SHA-256 of the file as it lies there now, in hex.
   *
   * @throws InfluenceException if it can not be read
   */
  public String digest() {
    FileIdentity now;
    try {
      now = FileIdentity.of(corpus.path());
    } catch (IOException e) {
      throw new InfluenceException(
          corpus.path() + " could not be read (" + e.getClass().getSimpleName() + ").", e);
    }
    if (seen.isEmpty() || !seen.get().file().equals(now)) {
      seen = Optional.of(new Seen(now, corpus.digest()));
    }
    return seen.get().digest();
  }

  /**
   * That what was read since is what its digest says.
   *
   * @param digest of the corpus before it was read
   * @throws InfluenceException if it is another by now, or can not be read
   */
  public void checkUnchanged(String digest) {
    if (!digest().equals(digest)) {
      throw new InfluenceException(
          corpus.path()
              + " was changed while it was read: its SHA-256 is another than at the beginning. Give"
              + " back the file as it was, or give the command with another --output.");
    }
  }
}
