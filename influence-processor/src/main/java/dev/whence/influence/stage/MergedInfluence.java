package dev.whence.influence.stage;

import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCost;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.MissingShard;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** One result out of a query's opening and the answers of its shards. */
final class MergedInfluence {
  /** Why no more answers are waited for. */
  enum Closed {
    /** All shards have answered, or the deadline has passed. */
    IN_TIME("It did not answer before the deadline.", ""),

    /** There was no room for more open queries. */
    EARLY(
        "It had not answered when the query was closed early.",
        " The query was closed early: it was the oldest of open queries that took more than"
            + " limits.open-bytes.");

    private final String ofShard;
    private final String ofResult;

    Closed(String ofShard, String ofResult) {
      this.ofShard = ofShard;
      this.ofResult = ofResult;
    }
  }

  private MergedInfluence() {}

  /** The result, with whatever shards have answered. */
  static Influence of(InfluenceOpening opening, List<InfluencePartial> answers, Closed closed) {
    Map<Integer, ShardAnswer> byShard = new TreeMap<>();
    List<InfluentialDocument> documents = new ArrayList<>();
    Influence begun = opening.getEvent();
    InfluenceCost before =
        Optional.ofNullable(begun.getCost()).orElseGet(() -> InfluenceCost.newBuilder().build());
    long tokens = before.getTokens();
    int preselected = 0;
    int reranked = 0;
    double seconds = before.getSeconds();
    String note = "";
    for (InfluencePartial answer : answers) {
      Set<Integer> scannedHere = new HashSet<>();
      for (ShardAnswer shard : answer.getShards()) {
        if (shard.getShard() >= 1 && shard.getShard() <= opening.getShards()) {
          byShard.put(shard.getShard(), shard);
          if (shard.getStatus() == ShardStatus.SCANNED) {
            scannedHere.add(shard.getShard());
          }
        }
      }
      answer.getDocuments().stream()
          .filter(document -> scannedHere.contains(document.getShard()))
          .forEach(documents::add);
      tokens += answer.getTokens();
      preselected += answer.getDocumentsPreselected();
      reranked += answer.getDocumentsReranked();
      seconds += answer.getSeconds();
      note = note.isEmpty() ? answer.getNote() : note;
    }
    int scanned = 0;
    long documentsScanned = 0;
    List<MissingShard> missing = new ArrayList<>();
    for (int shard = 1; shard <= opening.getShards(); shard++) {
      ShardAnswer answer = byShard.get(shard);
      if (answer != null && answer.getStatus() == ShardStatus.SCANNED) {
        scanned++;
        documentsScanned += answer.getDocuments();
      } else {
        missing.add(
            MissingShard.newBuilder()
                .setShard(shard)
                .setReason(answer == null ? closed.ofShard : answer.getReason())
                .build());
      }
    }
    Influence.Builder result =
        Influence.newBuilder(begun)
            .setCoverage(
                InfluenceCoverage.newBuilder()
                    .setShare(scanned / (double) opening.getShards())
                    .setShards(opening.getShards())
                    .setShardsAnswered(scanned)
                    .setDocuments(
                        begun.getCoverage() == null ? 0 : begun.getCoverage().getDocuments())
                    .setDocumentsScanned(documentsScanned)
                    .setDocumentsPreselected(preselected)
                    .setMissing(missing)
                    .build())
            .setDocuments(NamedDocuments.best(documents, opening.getTop()))
            .setCost(
                InfluenceCost.newBuilder()
                    .setTokens(tokens)
                    .setDocumentsReranked(reranked)
                    .setSeconds(seconds)
                    .build());
    if (scanned == 0) {
      return result
          .setStatus(InfluenceStatus.FAILED)
          .setReasonCode("NO_SHARD_ANSWERED")
          .setReason(
              "None of the "
                  + opening.getShards()
                  + " shards of the index was scanned."
                  + closed.ofResult)
          .build();
    }
    result.setStatus(InfluenceStatus.SCORED);
    // What was known before may have been cut already, and says so.
    String cut = begun.getReason().isEmpty() ? "" : " " + begun.getReason();
    if (!missing.isEmpty()) {
      result
          .setReasonCode("SHARDS_MISSING")
          .setReason(
              missing.size()
                  + " of the "
                  + opening.getShards()
                  + " shards of the index were not scanned."
                  + closed.ofResult
                  + (note.isEmpty() ? "" : " " + note)
                  + cut);
    } else if (!note.isEmpty()) {
      result
          .setReasonCode(reranked == 0 ? "ESTIMATES_ONLY" : "PARTLY_RANKED")
          .setReason(note + cut);
    }
    return result.build();
  }
}
