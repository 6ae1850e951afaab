package dev.whence.influence.stage;

import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.PartialKind;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** The records with which shards answer: ANSWER, for the merger. */
final class ShardAnswers {
  private final EventWriter writer;
  private final String partials;
  private final InfluenceMetrics metrics;
  private final String instance;

  ShardAnswers(EventWriter writer, String partials, InfluenceMetrics metrics, String instance) {
    this.writer = writer;
    this.partials = partials;
    this.metrics = metrics;
    this.instance = instance;
  }

  /**
   * What a query's record is answered with, out of all that is to be said of the query.
   *
   * @param place of the record
   */
  Outcome.Written of(AskedQuery query, Answered all, String place) {
    List<ShardAnswer> answers = new ArrayList<>();
    List<Boolean> missing = new ArrayList<>();
    for (int shard : query.shards()) {
      Answered.Searched searched = Objects.requireNonNull(all.shards.get(shard));
      missing.add(searched.missing().isPresent());
      answers.add(
          ShardAnswer.newBuilder()
              .setShard(shard)
              .setStatus(searched.missing().isPresent() ? ShardStatus.MISSING : ShardStatus.SCANNED)
              .setDocuments(searched.documents())
              .setReason(searched.missing().map(NamedDocuments::cut).orElse(""))
              .build());
    }
    Answered.Cost cost = all.cost(place);
    Result result =
        write(
            query.queryId(),
            InfluencePartial.newBuilder()
                .setQueryId(query.queryId())
                .setKind(PartialKind.ANSWER)
                .setShards(answers)
                .setDocuments(
                    NamedDocuments.best(
                        all.documents.stream()
                            .filter(document -> query.shards().contains(document.getShard()))
                            .toList(),
                        query.record().getTop()))
                .setNote(NamedDocuments.cut(all.note))
                .setTokens(cost.tokens())
                .setDocumentsPreselected(cost.preselected())
                .setDocumentsReranked(cost.reranked())
                .setSeconds(cost.seconds())
                .setInstance(instance)
                .build(),
            query.record().getTraceparent());
    return new Outcome.Written(List.of(result), () -> missing.forEach(metrics::shard));
  }

  /**
   * What a record is answered with that is given up: the merger need not wait, for the header says
   * which shards it asked. Nothing where it has none.
   */
  Outcome.Written failed(SourceRecord record, Failure failure) {
    Optional<String> queryId = record.keyText();
    List<Integer> asked = AskedShards.of(record);
    if (queryId.isEmpty() || asked.isEmpty()) {
      return new Outcome.Written(List.of());
    }
    String reason = NamedDocuments.cut("The query could not be answered: " + failure.message());
    int first = asked.get(0);
    List<ShardAnswer> answers =
        asked.stream()
            .map(
                shard ->
                    ShardAnswer.newBuilder()
                        .setShard(shard)
                        .setStatus(ShardStatus.MISSING)
                        .setReason(shard == first ? reason : "As shard " + first + ".")
                        .build())
            .toList();
    Result result =
        write(
            queryId.get(),
            InfluencePartial.newBuilder()
                .setQueryId(queryId.get())
                .setKind(PartialKind.ANSWER)
                .setShards(answers)
                .setInstance(instance)
                .build(),
            record.traceparentOr(""));
    return new Outcome.Written(List.of(result), () -> asked.forEach(unused -> metrics.shard(true)));
  }

  private Result write(String queryId, InfluencePartial partial, String traceparent) {
    return writer.write(partials, queryId, partial, 0, traceparent, Optional::empty);
  }
}
