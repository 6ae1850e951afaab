package dev.whence.attribution.stage;

import dev.whence.runtime.kafka.UrgentPartitions;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.CandidateSource;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.SourceScore;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.function.IntSupplier;

/**
 * Makes {@link Escalation} events: the response, the fast result and what is asked. Urgent ones go
 * to the partitions of the topic that the target reads first.
 */
final class Escalations {
  /** Room that headers, framing and incompressible batches take. */
  private static final int MARGIN_BYTES = 64 << 10;

  private final EventWriter writer;
  private final String topic;
  private final int largestBytes;
  private final IntSupplier partitions;
  private Optional<UrgentPartitions> urgent = Optional.empty();

  /**
   * @param largestBytes that the topic takes
   * @param partitions looks up how many the topic has
   */
  Escalations(EventWriter writer, String topic, int largestBytes, IntSupplier partitions) {
    this.writer = writer;
    this.topic = topic;
    this.largestBytes = largestBytes - MARGIN_BYTES;
    this.partitions = partitions;
  }

  /**
   * Called before the first escalation.
   *
   * @throws dev.whence.runtime.worker.EnvironmentException if the topic can not be looked up
   */
  void open() {
    urgent = Optional.of(new UrgentPartitions(partitions.getAsInt()));
  }

  /**
   * An escalation.
   *
   * @param fast as it is published
   * @param fastScorer what gave it
   * @param deadline from now; what was asked for has none
   * @return empty if response and result do not fit into one record, however small the result
   */
  Optional<Result> of(
      LlmResponse response,
      Attribution fast,
      String fastScorer,
      FastPath.Escalated why,
      Duration deadline) {
    Escalation.Builder event =
        Escalation.newBuilder()
            .setResponseId(fast.getResponseId())
            .setResponse(response)
            .setFast(fast)
            .setCandidates(
                why.candidates().stream().map(i -> candidate(fast.getSources().get(i))).toList())
            .setReasonCode(why.code())
            .setUrgent(why.urgent())
            .setFastScorer(fastScorer)
            .setWouldStand(why.wouldStand())
            .setFeatures(why.features())
            .setDeadline(why.urgent() ? Instant.EPOCH : Instant.now().plus(deadline))
            .setTraceparent(fast.getTraceparent());
    Optional<Attribution> smaller = Optional.of(fast);
    while (smaller.isPresent()) {
      Result result =
          writer.write(
              topic,
              fast.getResponseId(),
              event.setFast(smaller.get()).build(),
              fast.getRevision(),
              fast.getTraceparent(),
              Optional::empty);
      if (result.value().length <= largestBytes) {
        return Optional.of(result.toPartition(urgent.orElseThrow().of(result.key(), why.urgent())));
      }
      smaller = AttributionEvents.smaller(smaller.get());
    }
    return Optional.empty();
  }

  private static CandidateSource candidate(SourceScore source) {
    return CandidateSource.newBuilder()
        .setSegment(source.getSegment())
        .setStart(source.getStart())
        .setEnd(source.getEnd())
        .build();
  }
}
