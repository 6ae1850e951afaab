package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluenceMerge;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;
import org.apache.avro.Schema;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.SchemaStore;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.jspecify.annotations.Nullable;

/**
 * What the merger's stores hold: Avro's single-object encoding, which names the schema by its
 * fingerprint. No registry is asked, for nobody else reads it. What a former version kept is read
 * by its schema, a resource; what a later one kept is not.
 */
final class MergeSerde implements Serde<InfluenceMerge> {
  /** Schemas that released or upgraded processes have kept entries by, in Avro's canonical form. */
  private static final List<String> FORMER = List.of("influence-merge-1.avsc");

  private static final BinaryMessageDecoder<InfluenceMerge> DECODER =
      InfluenceMerge.createDecoder(former());

  private static SchemaStore former() {
    SchemaStore.Cache schemas = new SchemaStore.Cache();
    for (String name : FORMER) {
      try (InputStream in = MergeSerde.class.getResourceAsStream(name)) {
        schemas.addSchema(new Schema.Parser().parse(Objects.requireNonNull(in, name)));
      } catch (IOException e) {
        throw new UncheckedIOException(name + " of this jar can not be read", e);
      }
    }
    return schemas;
  }

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
      return DECODER.decode(bytes);
    } catch (IOException | org.apache.avro.AvroRuntimeException e) {
      throw new SerializationException(
          "what is known of a query was written by a later version; see the notes on"
              + " upgrades in docs/manual/influence.md",
          e);
    }
  }
}
