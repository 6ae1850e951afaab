package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluenceMerge;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.jspecify.annotations.Nullable;

/**
 * What the merger's stores hold: Avro's single-object encoding, which names the schema by its
 * fingerprint. No registry is asked, for nobody else reads it.
 */
final class MergeSerde implements Serde<InfluenceMerge> {
  @Override
  public Serializer<InfluenceMerge> serializer() {
    return (topic, merge) -> {
      if (merge == null) {
        return null;
      }
      try {
        ByteBuffer buffer = merge.toByteBuffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
      } catch (IOException e) {
        throw new SerializationException("what is known of a query could not be written", e);
      }
    };
  }

  @Override
  public Deserializer<InfluenceMerge> deserializer() {
    return (topic, bytes) -> read(bytes);
  }

  private static @Nullable InfluenceMerge read(byte @Nullable [] bytes) {
    if (bytes == null) {
      return null;
    }
    try {
      return InfluenceMerge.fromByteBuffer(ByteBuffer.wrap(bytes));
    } catch (IOException | org.apache.avro.AvroRuntimeException e) {
      throw new SerializationException(
          "what is known of a query was written by another version; see the upgrade notes of"
              + " influence-processor's README",
          e);
    }
  }
}
