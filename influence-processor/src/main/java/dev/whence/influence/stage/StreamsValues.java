package dev.whence.influence.stage;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
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
  private static final int MOST_SHARDS = 100_000;

  private StreamsValues() {}

  static Serde<InfluencePartial> partials(Connection connection) {
    AvroValues values = new AvroValues(connection);
    return serde(
        values,
        bytes -> {
          InfluencePartial partial =
              values.read(bytes, InfluencePartial.class, InfluencePartial.getClassSchema());
          check(partial);
          return partial;
        });
  }

  static Serde<Influence> influences(Connection connection) {
    AvroValues values = new AvroValues(connection);
    return serde(values, bytes -> values.read(bytes, Influence.class, Influence.getClassSchema()));
  }

  /** Refuses what the merger could not work with. */
  private static void check(InfluencePartial partial) throws UnreadableException {
    boolean good =
        switch (partial.getKind()) {
          case OPEN ->
              partial.getOpen() != null
                  && partial.getOpen().getEvent() != null
                  && partial.getOpen().getShards() >= 1
                  && partial.getOpen().getShards() <= MOST_SHARDS
                  && partial.getOpen().getTop() >= 1;
          case ANSWER ->
              !partial.getShards().isEmpty()
                  && partial.getShards().stream().allMatch(shard -> shard.getShard() >= 1);
          case UNKNOWN -> false;
        };
    if (!good) {
      throw new UnreadableException(
          "INVALID_PARTIAL",
          "the record of kind " + partial.getKind() + " lacks what it must have");
    }
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
