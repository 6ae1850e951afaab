package dev.whence.influence.corpus;

import dev.whence.engine.training.Example;
import java.util.List;

/**
 * A line of a corpus, ready for the model.
 *
 * @param reference where its line stands
 * @param id member {@code id} or {@code responseId}, else {@code line-N}
 * @param excerpt the beginning of its text
 * @param examples what the model learnt from it: one, or several pieces where it is longer than the
 *     model reads
 */
public record CorpusDocument(
    Reference reference, String id, String excerpt, List<Example> examples) {
  public CorpusDocument {
    examples = List.copyOf(examples);
  }

  /**
   * Where a line stands in its file.
   *
   * @param line from 1
   * @param offset of its first byte; of a compressed file, in what it unpacks to
   * @param bytes of the line, its line break included
   */
  public record Reference(long line, long offset, int bytes) {}

  /** Tokens, the pieces of a long document together. */
  public int tokens() {
    return examples.stream().mapToInt(Example::length).sum();
  }

  /** Tokens whose loss counts, each by its weight: its share of N. */
  public double weight() {
    double sum = 0;
    for (Example example : examples) {
      for (float weight : example.lossWeights()) {
        sum += weight;
      }
    }
    return sum;
  }
}
