package dev.whence.benchmarks.influence;

/**
 * Influence over the root of a document's self-influence: of documents that would change training
 * equally much, which moved this response most. Documents that are hard for the model move every
 * response, and come down. Source: RelatIF (2003.11630), section 4. Of plain gradients it is the
 * order of the cosine.
 *
 * @param name in tables
 */
record RelativeScores(String name, EkfacScores influence) implements DocumentScores {
  RelativeScores(EkfacScores influence) {
    this(influence.name() + ", relative", influence);
  }

  @Override
  public double[] of(TruthQuery query) {
    double[] scores = influence.of(query);
    for (int i = 0; i < scores.length; i++) {
      scores[i] /= influence.corpus().norms()[i];
    }
    return scores;
  }
}
