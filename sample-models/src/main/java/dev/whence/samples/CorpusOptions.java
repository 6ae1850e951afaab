package dev.whence.samples;

import java.util.List;

/**
 * The numbers of a corpus.
 *
 * @param seed of everything that is drawn
 * @param maxSentences a document has 1 to so many sentences; more only where a text would come
 *     twice
 * @param maxQuestions a document in question form has 1 to so many questions
 * @param questionShare share of the statements that are in question form
 * @param aliasShare share of the sentences about a person with an alias that use the alias
 * @param linkShare share of those in whose document the alias is linked to the name as well
 * @param linkDocuments documents of their own, for each alias, that link it to the name
 * @param hopShare share of the sentences, where the relation has two-hop templates, that state the
 *     fact by way of another subject
 * @param companionShare share of those in whose document the other subject's fact stands as well,
 *     while there are statements of it left
 * @param fillerShare share of the documents with a sentence that states nothing
 */
public record CorpusOptions(
    long seed,
    int maxSentences,
    int maxQuestions,
    double questionShare,
    double aliasShare,
    double linkShare,
    int linkDocuments,
    double hopShare,
    double companionShare,
    double fillerShare) {
  public CorpusOptions {
    if (maxSentences < 1 || maxQuestions < 1 || linkDocuments < 0) {
      throw new IllegalArgumentException(
          "a document has at least one sentence, an alias no negative number of documents");
    }
    for (double share :
        List.of(questionShare, aliasShare, linkShare, hopShare, companionShare, fillerShare)) {
      if (!(share >= 0 && share <= 1)) {
        throw new IllegalArgumentException("a share is from 0 to 1, not " + share);
      }
    }
  }

  public static CorpusOptions standard(long seed) {
    return new CorpusOptions(seed, 6, 3, 0.3, 1.0 / 3, 0.5, 8, 0.1, 0.5, 0.15);
  }
}
