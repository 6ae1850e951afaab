package dev.whence.benchmarks.influence;

/** A way to say which documents drove a response. */
interface DocumentScores {
  /** As it stands in tables. */
  String name();

  /** A number per document of the corpus, the larger the more it made the response likely. */
  double[] of(TruthQuery query);
}
