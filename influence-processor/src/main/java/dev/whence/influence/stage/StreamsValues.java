package dev.whence.influence.stage;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ShardAnswer;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.jspecify.annotations.Nullable;

/**
 * Values of topics for Kafka Streams, in the Confluent wire format. What is wrong with a record
 * comes as the {@link UnreadableException} that caused the exception; anything else is the
 * environment's fault.
 */
final class StreamsValues {
  private static final int LARGEST_OPENING_BYTES = 1 << 20;
  private static final int LONGEST_INSTANCE = 1024;

  private StreamsValues() {}

  /**
   * Partials.
   *
   * @param largestBytes a larger record is refused unread
   */
  static Serde<InfluencePartial> partials(Connection connection, int largestBytes) {
    AvroValues values = new AvroValues(connection);
    return serde(
        values,
        bytes -> {
          if (bytes.length > largestBytes) {
            throw new UnreadableException(
                "RECORD_TOO_LARGE",
                "the record has "
                    + bytes.length
                    + " bytes, more than limits.record-bytes, "
                    + largestBytes);
          }
          InfluencePartial partial =
              values.read(bytes, InfluencePartial.class, InfluencePartial.getClassSchema());
          check(partial, bytes.length);
          return partial;
        });
  }

  static Serde<Influence> influences(Connection connection) {
    AvroValues values = new AvroValues(connection);
    return serde(values, bytes -> values.read(bytes, Influence.class, Influence.getClassSchema()));
  }

  /** Refuses what the merger could not work with, or what no part of the processor writes. */
  static void check(InfluencePartial partial, int bytes) throws UnreadableException {
    boolean good =
        partial.getQueryId().length() <= QueryId.LONGEST
            && switch (partial.getKind()) {
              case OPEN -> bytes <= LARGEST_OPENING_BYTES && isOpening(partial.getOpen());
              case ANSWER -> isAnswer(partial);
              case UNKNOWN -> false;
            };
    if (!good) {
      throw new UnreadableException(
          "INVALID_PARTIAL",
          "the record of kind "
              + partial.getKind()
              + ", of "
              + bytes
              + " bytes, lacks what it must have, or has more than it may have");
    }
  }

  private static boolean isOpening(@Nullable InfluenceOpening opening) {
    return opening != null
        && opening.getEvent() != null
        && opening.getEvent().getDocuments().isEmpty()
        && opening.getShards() >= 1
        && opening.getShards() <= AskedShards.MOST
        && opening.getTop() >= 1
        && opening.getTop() <= InfluenceConfig.MOST_TOP;
  }

  private static boolean isAnswer(InfluencePartial partial) {
    return partial.getOpen() == null
        && !partial.getShards().isEmpty()
        && partial.getShards().size() <= AskedShards.MOST
        && partial.getShards().stream()
            .allMatch(
                shard ->
                    shard.getShard() >= 1
                        && shard.getShard() <= AskedShards.MOST
                        && shard.getReason().length() <= NamedDocuments.LONGEST_REASON)
        && partial.getShards().stream().map(ShardAnswer::getShard).distinct().count()
            == partial.getShards().size()
        && partial.getDocuments().size() <= 2 * InfluenceConfig.MOST_TOP
        && partial.getDocuments().stream().allMatch(StreamsValues::isDocument)
        && partial.getNote().length() <= NamedDocuments.LONGEST_REASON
        && partial.getInstance().length() <= LONGEST_INSTANCE
        && Double.isFinite(partial.getSeconds());
  }

  private static boolean isDocument(InfluentialDocument document) {
    return document.getId().length() <= NamedDocuments.LONGEST_ID
        && document.getExcerpt().length() <= NamedDocuments.LONGEST_EXCERPT
        && Double.isFinite(document.getInfluence())
        && Double.isFinite(document.getEstimate())
        && Double.isFinite(document.getStandardError())
        && Double.isFinite(document.getSelfInfluence());
  }

  private interface Reading<T> {
    T read(byte[] bytes) throws UnreadableException;
  }

  private static <T extends SpecificRecord> Serde<T> serde(AvroValues values, Reading<T> reading) {
    return new Serde<>() {
      @Override
      public Serializer<T> serializer() {
        return (topic, value) -> value == null ? null : values.write(topic, value);
      }

      @Override
      public Deserializer<T> deserializer() {
        return (topic, bytes) -> deserialize(bytes, reading);
      }

      @Override
      public void close() {
        values.close();
      }
    };
  }

  private static <T> @Nullable T deserialize(byte @Nullable [] bytes, Reading<T> reading) {
    if (bytes == null) {
      return null;
    }
    try {
      return reading.read(bytes);
    } catch (UnreadableException e) {
      throw new SerializationException(e.sentence(), e);
    }
  }
}
