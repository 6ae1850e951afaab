package dev.whence.influence.corpus;

import dev.whence.engine.EngineException;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.TrainingTexts.Pieces;
import dev.whence.influence.InfluenceException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * A line of a corpus, ready for the model.
 *
 * @param reference where its line stands
 * @param id member {@code id} or {@code responseId}, else {@code line-N}
 * @param excerpt the beginning of its text
 * @param pieces what the model learnt from it: one, or several where it is longer than the model
 *     reads
 */
public record CorpusDocument(Reference reference, String id, String excerpt, Pieces pieces) {
  /** Of pieces of which none is left out, each beginning with the last token of the one before. */
  public CorpusDocument(Reference reference, String id, String excerpt, List<Example> examples) {
    this(reference, id, excerpt, chained(examples));
  }

  private static Pieces chained(List<Example> examples) {
    List<Integer> starts = new ArrayList<>();
    int last = 0;
    for (Example piece : examples) {
      starts.add(last);
      last += piece.length() - 1;
    }
    return new Pieces(last + 1, starts, examples);
  }

  /** The pieces, in their order. */
  public List<Example> examples() {
    return pieces.examples();
  }

  /**
   * Where a line stands in its file.
   *
   * @param line from 1
   * @param offset of its first byte; of a compressed file, in what it unpacks to
   * @param bytes of the line, its line break included
   */
  public record Reference(long line, long offset, int bytes) {}

  /** Tokens that are run: of the pieces together, of which two share a token. */
  public int tokens() {
    return examples().stream().mapToInt(Example::length).sum();
  }

  /** Tokens of the longest piece, whose square memory is needed for. */
  private int longestPiece() {
    return examples().stream().mapToInt(Example::length).max().orElse(0);
  }

  /**
   * What to throw where the model failed on documents that were run together.
   *
   * @return the failure itself if it says nothing of the documents, else one that names them
   */
  public static RuntimeException failed(List<CorpusDocument> together, EngineException failure) {
    if (failure.kind() == EngineException.Kind.ENVIRONMENT || together.isEmpty()) {
      return failure;
    }
    CorpusDocument longest =
        Collections.max(together, Comparator.comparingInt(CorpusDocument::longestPiece));
    long line = longest.reference().line();
    String what = "the document at line " + line + " of the corpus (";
    if (together.size() > 1) {
      what =
          "one of "
              + together.size()
              + " documents, of which that at line "
              + line
              + " of the corpus is the longest (";
    }
    return new InfluenceException(
        "The model could not be run on "
            + what
            + longest.longestPiece()
            + " tokens at once): "
            + failure.getMessage()
            + (failure.isOutOfMemory()
                ? " Memory grows with the square of the tokens: split that document into several"
                    + " lines, or take it out of the corpus."
                : ""),
        failure);
  }

  /** Tokens whose loss counts, each by its weight: its share of N. */
  public double weight() {
    double sum = 0;
    for (Example example : examples()) {
      for (float weight : example.lossWeights()) {
        sum += weight;
      }
    }
    return sum;
  }
}
