package dev.whence.samples;

import java.util.List;

/**
 * The numbers of a context: what stands in it besides what is asked for.
 *
 * @param minSentences a context has so many sentences at least (more if its questions need more)
 * @param maxSentences and at most
 * @param lengthPower how the number is drawn: a fraction from 0 to 1, raised to this power, is how
 *     far it lies between the two; 1 draws all as often, 0.5 rather long ones
 * @param maxSentencesPerDocument a document has 1 to so many sentences
 * @param leastEntities how many entities a throw-away world has at least
 * @param entitiesPerHundredSentences how many entities a throw-away world has for a context of a
 *     hundred sentences at density 1
 * @param densities factors of that, one of which is drawn for each context: the more entities, the
 *     fewer sentences about each
 * @param relations how many relations the world of a context has, drawn for each; 0 for all. Few
 *     relations make a reader look at the subjects
 * @param distinctObjects whether no two subjects have the same object in a relation
 * @param aliasShare share of the persons of a throw-away world that have an alias
 * @param outsideShare share of its objects that are names of nobody else
 * @param hardShare share of the other sentences that have the subject or the relation of a
 *     question, as far as the world has such facts
 * @param sameSubjectShare share of those that have the subject
 * @param fillerShare share of the other sentences that state nothing
 * @param aliasStatementShare share of the other statements, about a person with an alias, that use
 *     it; the link stands in the context too
 * @param hopStatementShare share of the other statements that go by way of another subject, where
 *     one has the same object
 * @param sharedBeginningShare share of the statements whose wording is drawn only from those that
 *     begin as another sentence about such a subject does, where there are any: what they say shows
 *     after their first word
 */
public record ContextOptions(
    int minSentences,
    int maxSentences,
    double lengthPower,
    int maxSentencesPerDocument,
    Sizes leastEntities,
    Sizes entitiesPerHundredSentences,
    List<Double> densities,
    int relations,
    boolean distinctObjects,
    double aliasShare,
    double outsideShare,
    double hardShare,
    double sameSubjectShare,
    double fillerShare,
    double aliasStatementShare,
    double hopStatementShare,
    double sharedBeginningShare) {
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
    if (relations < 0) {
      throw new IllegalArgumentException("relations must be 0 (all) or more, not " + relations);
    }
    if (!(lengthPower > 0)) {
      throw new IllegalArgumentException("lengthPower must be above 0, not " + lengthPower);
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
            hopStatementShare,
            sharedBeginningShare)) {
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
        1,
        6,
        new Sizes(3, 3, 3, 3),
        new Sizes(25, 12, 12, 6),
        List.of(0.6, 1.0, 2.0, 4.0),
        0,
        false,
        1.0 / 3,
        0.5,
        0.5,
        0.35,
        0.04,
        0.3,
        0.3,
        0);
  }

  /** The same with larger worlds: more subjects of each relation, more answers to guess from. */
  public ContextOptions withEntities(Sizes least) {
    return with(
        minSentences, maxSentences, least, hardShare, sameSubjectShare, sharedBeginningShare);
  }

  /** The same with more that a reader takes for what is asked; parameters as in the record. */
  public ContextOptions withConfusion(double hard, double sameSubject, double sharedBeginning) {
    return with(minSentences, maxSentences, leastEntities, hard, sameSubject, sharedBeginning);
  }

  /** The same with other lengths. */
  public ContextOptions withSentences(int least, int most) {
    return with(least, most, leastEntities, hardShare, sameSubjectShare, sharedBeginningShare);
  }

  private ContextOptions with(
      int least, int most, Sizes entities, double hard, double sameSubject, double beginning) {
    return new ContextOptions(
        least,
        most,
        lengthPower,
        maxSentencesPerDocument,
        entities,
        entitiesPerHundredSentences,
        densities,
        relations,
        distinctObjects,
        aliasShare,
        outsideShare,
        hard,
        sameSubject,
        fillerShare,
        aliasStatementShare,
        hopStatementShare,
        beginning);
  }

  /** How many sentences a context has that needs {@code needed} of them. */
  int sentences(int needed, Draw draw) {
    double fraction = Math.pow(draw.fraction(), lengthPower);
    int drawn = minSentences + (int) (fraction * (maxSentences - minSentences + 1));
    return Math.max(needed, Math.min(drawn, maxSentences));
  }

  /**
   * Contexts that a reader can not shorten: plain statements of a few relations, each subject with
   * an object of its own, nothing else.
   *
   * @param relations 1 is pure recall: the subject alone decides
   */
  public static ContextOptions recall(int least, int most, int relations) {
    return new ContextOptions(
        least,
        most,
        1,
        6,
        new Sizes(3, 3, 3, 3),
        new Sizes(25, 12, 12, 6),
        List.of(1.0),
        relations,
        true,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0);
  }

  /** A throw-away world for a context of so many sentences. */
  FreshWorld world(int sentences, NameSplit split, Draw draw) {
    return new FreshWorld(
        sizes(sentences, draw), split, aliasShare, relations, distinctObjects, outsideShare);
  }

  Sizes sizes(int sentences, Draw draw) {
    if (relations > 0) {
      // Enough subjects for as many facts as there are sentences.
      int each = Math.max(Sizes.LEAST, (sentences + relations - 1) / relations);
      return new Sizes(each, each, each, each).atLeast(leastEntities);
    }
    Sizes scaled = entitiesPerHundredSentences.scaled(sentences * draw.from(densities) / 100);
    return scaled.atLeast(leastEntities);
  }
}
