package dev.whence.influence.stage;

import dev.whence.influence.query.DocumentInfluence;
import dev.whence.schemas.avro.InfluentialDocument;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Documents as answers and results name them, in bounded words. */
final class NamedDocuments {
  /** Characters of what is said of a shard. */
  static final int LONGEST_REASON = 500;

  /** Characters of a document's name. */
  static final int LONGEST_ID = 500;

  /** Characters of a document's beginning, more than indexes hold. */
  static final int LONGEST_EXCERPT = 500;

  private NamedDocuments() {}

  /** A document of a shard. */
  static InfluentialDocument of(int shard, DocumentInfluence influence, boolean excerpt) {
    return InfluentialDocument.newBuilder()
        .setId(cut(influence.document().id(), LONGEST_ID))
        .setShard(shard)
        .setLine(influence.document().reference().line())
        .setExcerpt(excerpt ? influence.document().excerpt() : "")
        .setInfluence(influence.influence())
        .setExact(influence.exact())
        .setEstimate(influence.estimate())
        .setStandardError(influence.standardError())
        .setSelfInfluence(influence.selfInfluence())
        .build();
  }

  /** The most influential of each sign: positive ones descending, then negative ones ascending. */
  static List<InfluentialDocument> best(List<InfluentialDocument> documents, int top) {
    Comparator<InfluentialDocument> ascending =
        Comparator.comparingDouble(InfluentialDocument::getInfluence)
            .thenComparing(InfluentialDocument::getLine);
    return Stream.concat(
            documents.stream()
                .filter(document -> document.getInfluence() > 0)
                .sorted(ascending.reversed())
                .limit(top),
            documents.stream()
                .filter(document -> document.getInfluence() < 0)
                .sorted(ascending)
                .limit(top))
        .toList();
  }

  /** A sentence, of bounded length: a record holds one for each shard. */
  static String cut(String sentence) {
    return cut(sentence, LONGEST_REASON);
  }

  static String cut(String text, int most) {
    return text.length() <= most ? text : text.substring(0, most - 3) + "...";
  }
}
