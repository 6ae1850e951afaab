package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluentialDocument;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** What is to be said of a query's shards; it keeps none of them open. */
final class Answered {
  final Map<Integer, Searched> shards;
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

  Answered(
      Map<Integer, OpenShards.Found> found,
      List<InfluentialDocument> documents,
      String note,
      Cost cost) {
    this(documents, note, cost, new TreeMap<>(), new HashMap<>());
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
