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
  private final String name;
  private final IntSupplier largestBytes;
  private final IntSupplier partitions;
  private Optional<Opened> opened = Optional.empty();

  /** The topic as the brokers have it. */
  private record Opened(int largestBytes, UrgentPartitions urgent) {
    /** However badly it compresses: random bytes become longer by less than one in 256. */
    boolean takes(int bytes) {
      return bytes + bytes / 256 <= largestBytes - MARGIN_BYTES;
    }
  }

  /**
   * @param name of the topic
   * @param largestBytes looks up how large a record of the topic may be
   * @param partitions looks up how many the topic has
   */
  Escalations(EventWriter writer, String name, IntSupplier largestBytes, IntSupplier partitions) {
    this.writer = writer;
    this.name = name;
    this.largestBytes = largestBytes;
    this.partitions = partitions;
  }

  /**
   * Called before the first escalation.
   *
   * @throws dev.whence.runtime.worker.EnvironmentException if the topic can not be looked up
   */
  void open() {
    opened =
        Optional.of(
            new Opened(largestBytes.getAsInt(), new UrgentPartitions(partitions.getAsInt())));
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
    Opened topic = opened.orElseThrow();
    Optional<Attribution> smaller = Optional.of(AttributionEvents.writable(fast));
    while (smaller.isPresent()) {
      Result result =
          writer.write(
              name,
              fast.getResponseId(),
              event.setFast(smaller.get()).build(),
              fast.getRevision(),
              fast.getTraceparent(),
              Optional::empty);
      if (topic.takes(result.value().length)) {
        return Optional.of(result.toPartition(topic.urgent().of(result.key(), why.urgent())));
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
