package dev.whence.benchmarks.influence;

import dev.whence.attribution.source.Bm25;
import java.util.List;

/**
 * BM25 of question and response as the query.
 *
 * @param texts of the corpus
 */
record Bm25Scores(List<String> texts) implements DocumentScores {
  Bm25Scores {
    texts = List.copyOf(texts);
  }

  @Override
  public String name() {
    return "BM25";
  }

  @Override
  public double[] of(TruthQuery query) {
    return Bm25.scores(texts, query.question().question() + " " + query.question().response());
  }
}
