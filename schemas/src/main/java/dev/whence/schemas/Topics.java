package dev.whence.schemas;

import dev.whence.schemas.Topic.Cleanup;
import dev.whence.schemas.avro.Agreement;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.InfluenceRequest;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.avro.Schema;

/** The topic catalogue. Creating the topics and comparing them with a cluster is done elsewhere. */
public final class Topics {
  public static final String DEFAULT_PREFIX = "whence.";

  private static final int MIB = 1 << 20;

  /**
   * What a dead-letter topic takes beyond its source: a record that just fits the source would be
   * refused with the headers that say what was wrong with it.
   */
  private static final int DEAD_LETTER_MARGIN_BYTES = MIB;

  /** Kafka's own bound on names is 249; the longest suffix here is shorter than 49. */
  private static final Pattern PREFIX = Pattern.compile("[a-zA-Z0-9._-]{0,200}");

  private final Topic responses;
  private final Topic attributions;
  private final Topic escalations;
  private final Topic agreements;
  private final Topic influenceRequests;
  private final Topic influenceQueries;
  private final Topic influencePartials;
  private final Topic influences;
  private final Topic models;
  private final Topic transfers;
  private final List<Topic> all;

  /**
   * @param prefix of every name, usually {@link #DEFAULT_PREFIX}
   * @throws IllegalArgumentException if a topic's name could not start like this
   */
  public Topics(String prefix) {
    if (!PREFIX.matcher(prefix).matches()) {
      throw new IllegalArgumentException(
          "the topic prefix may have up to 200 letters, digits, '.', '_' and '-'; '"
              + prefix
              + "' is something else");
    }
    responses = events(prefix, "responses", LlmResponse.getClassSchema(), Duration.ofDays(7));
    attributions =
        events(prefix, "attributions", Attribution.getClassSchema(), Duration.ofDays(30));
    escalations =
        events(prefix, "attributions.escalated", Escalation.getClassSchema(), Duration.ofDays(7));
    agreements =
        new Topic(
            prefix + "attributions.agreements",
            "responseId",
            Optional.of(AvroSerdes.published(Agreement.getClassSchema())),
            1,
            false,
            Cleanup.DELETE,
            Optional.of(Duration.ofDays(90)),
            MIB,
            Optional.empty());
    influenceRequests =
        events(prefix, "influence.requests", InfluenceRequest.getClassSchema(), Duration.ofDays(7));
    influenceQueries =
        scattered(prefix, "influence.queries", InfluenceQuery.getClassSchema(), false);
    // The merger keeps its open queries by partition.
    influencePartials =
        scattered(prefix, "influence.partials", InfluencePartial.getClassSchema(), true);
    influences =
        new Topic(
            prefix + "influences",
            "responseId",
            Optional.of(AvroSerdes.published(Influence.getClassSchema())),
            12,
            false,
            Cleanup.DELETE,
            Optional.of(Duration.ofDays(30)),
            8 * MIB,
            Optional.empty());
    models =
        new Topic(
            prefix + "models",
            "modelId",
            Optional.of(AvroSerdes.published(ModelRelease.getClassSchema())),
            1,
            false,
            Cleanup.COMPACT,
            Optional.empty(),
            MIB,
            Optional.empty());
    transfers =
        new Topic(
            prefix + "transfers",
            "transferId",
            Optional.of(AvroSerdes.published(TransferEvent.getClassSchema())),
            1,
            false,
            Cleanup.COMPACT_AND_DELETE,
            Optional.of(Duration.ofDays(90)),
            MIB,
            Optional.of(prefix + "dlq.transfers"));
    all =
        List.of(
            responses,
            attributions,
            escalations,
            agreements,
            influenceRequests,
            influenceQueries,
            influencePartials,
            influences,
            models,
            transfers,
            deadLetters(responses),
            deadLetters(attributions),
            deadLetters(escalations),
            deadLetters(influenceRequests),
            deadLetters(influenceQueries),
            deadLetters(influencePartials),
            deadLetters(transfers));
  }

  private static Topic events(String prefix, String name, Schema value, Duration retention) {
    return new Topic(
        prefix + name,
        "responseId",
        Optional.of(AvroSerdes.published(value)),
        12,
        false,
        Cleanup.DELETE,
        Optional.of(retention),
        8 * MIB,
        Optional.of(prefix + "dlq." + name));
  }

  /** Between the parts of one processor. */
  private static Topic scattered(
      String prefix, String name, Schema value, boolean partitionsFixed) {
    return new Topic(
        prefix + name,
        "queryId",
        Optional.of(AvroSerdes.published(value)),
        8,
        partitionsFixed,
        Cleanup.DELETE,
        Optional.of(Duration.ofDays(1)),
        16 * MIB,
        Optional.of(prefix + "dlq." + name));
  }

  private static Topic deadLetters(Topic source) {
    return new Topic(
        source.deadLetters().orElseThrow(),
        source.key(),
        Optional.empty(),
        1,
        false,
        Cleanup.DELETE,
        Optional.of(Duration.ofDays(30)),
        source.maxMessageBytes() + DEAD_LETTER_MARGIN_BYTES,
        Optional.empty());
  }

  /** {@link LlmResponse} by responseId. */
  public Topic responses() {
    return responses;
  }

  /** {@link Attribution} by responseId. */
  public Topic attributions() {
    return attributions;
  }

  /** {@link Escalation} by responseId. */
  public Topic escalations() {
    return escalations;
  }

  /** {@link Agreement} by responseId, one partition: every FAST instance reads all of it. */
  public Topic agreements() {
    return agreements;
  }

  /** {@link InfluenceRequest} by responseId. */
  public Topic influenceRequests() {
    return influenceRequests;
  }

  /** {@link InfluenceQuery} by queryId, to partitions that the writer chooses; internal. */
  public Topic influenceQueries() {
    return influenceQueries;
  }

  /** {@link InfluencePartial} by queryId; internal. */
  public Topic influencePartials() {
    return influencePartials;
  }

  /** {@link Influence} by responseId. */
  public Topic influences() {
    return influences;
  }

  /** {@link ModelRelease} by modelId, one partition, compacted. */
  public Topic models() {
    return models;
  }

  /** {@link TransferEvent} by transferId, one partition: the last event of each is kept. */
  public Topic transfers() {
    return transfers;
  }

  /**
   * Where records of a topic go that could not be processed.
   *
   * @throws IllegalArgumentException if the topic is not of this catalogue or has none
   */
  public Topic deadLettersOf(Topic source) {
    return source
        .deadLetters()
        .flatMap(this::find)
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "topic " + source.name() + " has no dead-letter topic"));
  }

  public Optional<Topic> find(String name) {
    return all.stream().filter(topic -> topic.name().equals(name)).findFirst();
  }

  /** Every topic, dead-letter topics last. */
  public List<Topic> all() {
    return all;
  }
}
