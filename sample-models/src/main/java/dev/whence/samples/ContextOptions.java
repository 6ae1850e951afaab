package dev.whence.samples;

import java.util.List;

/**
 * The numbers of a context: what stands in it besides what is asked for.
 *
 * @param minSentences a context has so many sentences at least (more if its questions need more)
 * @param maxSentences and at most, any number between as often as another
 * @param maxSentencesPerDocument a document has 1 to so many sentences
 * @param entitiesPerHundredSentences how many entities a throw-away world has for a context of a
 *     hundred sentences at density 1
 * @param densities factors of that, one of which is drawn for each context: the more entities, the
 *     fewer sentences about each
 * @param aliasShare share of the persons of a throw-away world that have an alias
 * @param outsideShare share of its objects that are names of nobody else
 * @param hardShare share of the other sentences that have the subject or the relation of a question
 * @param sameSubjectShare share of those that have the subject
 * @param fillerShare share of the other sentences that state nothing
 * @param aliasStatementShare share of the other statements, about a person with an alias, that use
 *     it; the link stands in the context too
 * @param hopStatementShare share of the other statements that go by way of another subject, where
 *     one has the same object
 */
public record ContextOptions(
    int minSentences,
    int maxSentences,
    int maxSentencesPerDocument,
    Sizes entitiesPerHundredSentences,
    List<Double> densities,
    double aliasShare,
    double outsideShare,
    double hardShare,
    double sameSubjectShare,
    double fillerShare,
    double aliasStatementShare,
    double hopStatementShare) {
  public ContextOptions {
    densities = List.copyOf(densities);
    if (minSentences < 1 || maxSentences < minSentences || maxSentencesPerDocument < 1) {
      throw new IllegalArgumentException(
          "sentences must be 1 <= min <= max with at least 1 per document, not "
              + minSentences
              + " to "
              + maxSentences
              + " with "
              + maxSentencesPerDocument);
    }
    if (densities.isEmpty() || densities.stream().anyMatch(density -> !(density > 0))) {
      throw new IllegalArgumentException("densities must be numbers above 0, not " + densities);
    }
    for (double share :
        List.of(
            aliasShare,
            outsideShare,
            hardShare,
            sameSubjectShare,
            fillerShare,
            aliasStatementShare,
            hopStatementShare)) {
      if (!(share >= 0 && share <= 1)) {
        throw new IllegalArgumentException("a share is from 0 to 1, not " + share);
      }
    }
  }

  /** Contexts of the given lengths with everything else as in the contract of the samples. */
  public static ContextOptions ofSentences(int least, int most) {
    return new ContextOptions(
        least,
        most,
        6,
        new Sizes(25, 12, 12, 6),
        List.of(0.6, 1.0, 1.6),
        1.0 / 3,
        0.5,
        0.5,
        0.35,
        0.04,
        0.3,
        0.3);
  }

  /** A throw-away world for a context of so many sentences. */
  FreshWorld world(int sentences, NameSplit split, Draw draw) {
    return new FreshWorld(sizes(sentences, draw), split, aliasShare, outsideShare);
  }

  Sizes sizes(int sentences, Draw draw) {
    return entitiesPerHundredSentences.scaled(sentences * draw.from(densities) / 100);
  }
}
