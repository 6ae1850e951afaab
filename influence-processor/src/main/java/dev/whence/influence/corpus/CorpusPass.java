package dev.whence.influence.corpus;

import dev.whence.engine.EngineException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * One way through a corpus: documents are gathered until there is work for several packs, worked on
 * together, and what was done is saved from time to time, so that a run that is cut off loses no
 * more than that.
 */
public abstract class CorpusPass implements CorpusFile.Visitor {
  private final long tokensAtOnce;
  private final int documentsAtOnce;
  private final Duration saveEvery;
  private final SeenCorpus corpus;
  private final String digest;
  private final RejectFile rejects;
  private final List<CorpusDocument> waiting = new ArrayList<>();
  private long waitingTokens;
  private long bytes;
  private long saved = System.nanoTime();
  private Progress progress;

  /**
   * A way through the lines that are left.
   *
   * @param start what earlier runs did
   * @param rejects gets the lines that are no documents
   * @param tokensAtOnce documents of so many tokens are worked on together
   * @param documentsAtOnce and no more of them than so many
   * @param saveEvery after how long work is kept, at the end of what is worked on together then
   * @param corpus that is read
   * @param digest of the corpus that what is computed is said to be of
   */
  protected CorpusPass(
      Progress start,
      RejectFile rejects,
      long tokensAtOnce,
      int documentsAtOnce,
      Duration saveEvery,
      SeenCorpus corpus,
      String digest) {
    this.progress = start;
    this.rejects = rejects;
    this.tokensAtOnce = tokensAtOnce;
    this.documentsAtOnce = documentsAtOnce;
    this.saveEvery = saveEvery;
    this.corpus = corpus;
    this.digest = digest;
  }

  /** Works on documents; there may be none. */
  protected abstract void compute(List<CorpusDocument> documents);

  /** Keeps what was done so far. */
  protected abstract void save(Progress done);

  /** How far the pass is, in bytes of the corpus as it lies there. */
  protected abstract void moved(long bytesRead, Progress done);

  @Override
  public final void at(long read) {
    bytes = read;
  }

  @Override
  public final boolean document(CorpusDocument document) {
    progress = progress.with(document);
    waiting.add(document);
    waitingTokens += document.tokens();
    if (waitingTokens >= tokensAtOnce || waiting.size() >= documentsAtOnce) {
      computeWaiting();
      if (System.nanoTime() - saved >= saveEvery.toNanos()) {
        corpus.checkUnchanged(digest);
        rejects.save();
        save(progress);
        saved = System.nanoTime();
      }
    }
    return true;
  }

  @Override
  public final void rejected(CorpusFile.Rejected rejected) {
    progress = progress.with(rejected);
    rejects.add(rejected);
  }

  private void computeWaiting() {
    try {
      compute(List.copyOf(waiting));
    } catch (EngineException e) {
      throw CorpusDocument.failed(waiting, e);
    }
    waiting.clear();
    waitingTokens = 0;
    moved(bytes, progress);
  }

  /**
   * Works on what is left, and says what was done in all.
   *
   * @throws dev.whence.influence.InfluenceException if the corpus is another by now, or the model
   *     can not be run on a document
   */
  public final Progress finish() {
    computeWaiting();
    corpus.checkUnchanged(digest);
    rejects.save();
    return progress;
  }
}
