package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluentialDocument;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What is to be said of a query's shards; it keeps none of them open, and no document that no
 * answer has room for: thousands may have been ranked.
 */
final class Answered {
  final Map<Integer, Searched> shards;

  /** The best of each partition, for a record asks the shards of one. */
  final List<InfluentialDocument> documents;

  final String note;

  /** By the place of the record whose answer says it. */
  private final Map<String, Cost> said;

  private Cost unsaid;

  /**
   * What became of a shard.
   *
   * @param documents that were looked at
   * @param missing why none was; empty: all were
   */
  record Searched(int documents, Optional<String> missing) {
    static Searched of(OpenShards.Found found) {
      if (found instanceof OpenShards.Found.Here here) {
        return new Searched(here.shard().size(), Optional.empty());
      }
      return new Searched(0, Optional.of(((OpenShards.Found.Missing) found).reason()));
    }
  }

  /**
   * @param documents of the shards that were found, whichever were ranked
   * @param top so many of each sign are said by one answer
   * @param partitions of the query: a record asks the shards of one number modulo this
   */
  Answered(
      Map<Integer, OpenShards.Found> found,
      List<InfluentialDocument> documents,
      int top,
      int partitions,
      String note,
      Cost cost) {
    this(best(documents, top, partitions), note, cost, new TreeMap<>(), new HashMap<>());
    found.forEach((number, one) -> shards.put(number, Searched.of(one)));
  }

  private Answered(
      List<InfluentialDocument> documents,
      String note,
      Cost cost,
      Map<Integer, Searched> shards,
      Map<String, Cost> said) {
    this.shards = shards;
    this.said = said;
    this.documents = documents;
    this.note = note;
    this.unsaid = cost;
  }

  private static List<InfluentialDocument> best(
      List<InfluentialDocument> documents, int top, int partitions) {
    return documents.stream()
        .collect(Collectors.groupingBy(document -> document.getShard() % partitions))
        .values()
        .stream()
        .flatMap(ofPartition -> NamedDocuments.best(ofPartition, top).stream())
        .toList();
  }

  /** Shards that were asked in a later batch, too. */
  Answered plus(Answered later) {
    Map<Integer, Searched> both = new TreeMap<>(shards);
    both.putAll(later.shards);
    List<InfluentialDocument> all =
        new ArrayList<>(
            documents.stream()
                .filter(document -> !later.shards.containsKey(document.getShard()))
                .toList());
    all.addAll(later.documents);
    Map<String, Cost> saidOfBoth = new HashMap<>(said);
    saidOfBoth.putAll(later.said);
    return new Answered(
        all, note.isEmpty() ? later.note : note, unsaid.plus(later.unsaid), both, saidOfBoth);
  }

  /**
   * The first answer says what it cost; the others cost nothing more. A record that is answered
   * again, as where a transaction was aborted, says the same again.
   *
   * @param place of the record that is answered
   */
  Cost cost(String place) {
    Cost before = said.get(place);
    if (before != null) {
      return before;
    }
    Cost cost = unsaid;
    unsaid = Cost.NONE;
    said.put(place, cost);
    return cost;
  }

  /**
   * What an answer cost.
   *
   * @param tokens run forward and back
   * @param preselected candidates by words
   * @param reranked documents whose gradients were computed anew
   * @param seconds of this process
   */
  record Cost(long tokens, int preselected, int reranked, double seconds) {
    static final Cost NONE = new Cost(0, 0, 0, 0);

    Cost plus(Cost other) {
      return new Cost(
          tokens + other.tokens,
          preselected + other.preselected,
          reranked + other.reranked,
          seconds + other.seconds);
    }
  }
}
