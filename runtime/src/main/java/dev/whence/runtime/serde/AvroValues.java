package dev.whence.runtime.serde;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.AvroLimits;
import io.confluent.kafka.schemaregistry.ParsedSchema;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.SerializationException;
import org.jspecify.annotations.Nullable;

/**
 * Reads and writes values in the Confluent wire format: a zero byte, the schema's id in four bytes,
 * binary Avro. Writing is done by Confluent's own serializer. Reading is done here in two steps,
 * because they fail for different reasons: a registry that does not answer is the environment's
 * fault, bytes that are not what they say are the record's. Not thread-safe.
 */
public final class AvroValues implements AutoCloseable {
  private static final int HEADER_BYTES = 5;

  /** The registry's own code for an id that it does not know. */
  private static final int SCHEMA_NOT_FOUND = 40403;

  /** How the client begins to say that an id's schema is of a type other than Avro, or broken. */
  private static final String NO_PROVIDER = "Invalid schema";

  private final SchemaRegistryClient registry;
  private final KafkaAvroSerializer serializer;
  private final Map<Integer, Writer> writers = new HashMap<>();

  /**
   * A schema that values were written with.
   *
   * @param bounded whether their bytes bound the work of reading them
   */
  private record Writer(Schema schema, boolean bounded) {}

  public AvroValues(Connection connection) {
    this(Registry.client(connection), Registry.properties(connection));
  }

  AvroValues(SchemaRegistryClient registry, Map<String, Object> properties) {
    AvroLimits.setSystemProperties();
    this.registry = registry;
    this.serializer = new KafkaAvroSerializer(registry);
    serializer.configure(properties, false);
  }

  /**
   * Serialises a value for a topic.
   *
   * @throws EnvironmentException if the registry does not answer, gives no id or does not know the
   *     schema
   */
  public byte[] write(String topic, SpecificRecord value) {
    try {
      return serializer.serialize(topic, value);
    } catch (SerializationException e) {
      if (e.getCause() instanceof RestClientException rest && rest.getStatus() == 404) {
        throw new EnvironmentException(
            "the schema of "
                + value.getSchema().getName()
                + " is not registered under "
                + topic
                + "-value; register it with: whence topics --create",
            e);
      }
      if (e.getCause() instanceof RestClientException || e.getCause() instanceof IOException) {
        throw unreachable(e.getCause());
      }
      Throwable cause = e.getCause();
      if (cause != null && isOfClient(cause)) {
        registry.reset();
        throw new EnvironmentException(
            "the schema registry gave no id of a schema of "
                + topic
                + "-value ("
                + Failure.describe(cause)
                + ")",
            e);
      }
      throw e;
    } catch (KafkaException e) {
      throw unreachable(e); // no answer in time, no right to one, too many requests
    }
  }

  /** An answer without an id, of a gateway, say, ends in an exception of the client's own. */
  private static boolean isOfClient(Throwable cause) {
    StackTraceElement[] trace = cause.getStackTrace();
    return trace.length > 0
        && trace[0].getClassName().startsWith(SchemaRegistryClient.class.getPackageName());
  }

  /**
   * Reads a value.
   *
   * @param bytes in the Confluent wire format
   * @param reader an instance's class of the generated record
   * @param readerSchema its schema
   * @throws UnreadableException if the bytes are not such a value
   * @throws EnvironmentException if the registry does not answer
   */
  public <T extends SpecificRecord> T read(
      byte @Nullable [] bytes, Class<T> reader, Schema readerSchema) throws UnreadableException {
    if (bytes == null) {
      throw new UnreadableException("NO_VALUE", "the record has no value");
    }
    int id =
        schemaId(bytes)
            .orElseThrow(
                () ->
                    new UnreadableException(
                        "NOT_AVRO",
                        "the value of "
                            + bytes.length
                            + " bytes is not in the Confluent wire format"));
    Writer known = writers.get(id);
    Writer found = known == null ? look(id) : known;
    Schema writer = found.schema();
    if (!writer.getFullName().equals(readerSchema.getFullName())) {
      throw new UnreadableException(
          "WRONG_SCHEMA", "schema id " + id + " is not a " + readerSchema.getFullName());
    }
    if (!found.bounded()) {
      throw new UnreadableException(
          "WRONG_SCHEMA",
          "schema id "
              + id
              + " has an array of items that take no bytes, more than "
              + SchemaBounds.MOST_REPEATED
              + " fields in what is repeated, or more than "
              + SchemaBounds.MOST_NODES
              + " fields");
    }
    try {
      var decoder =
          DecoderFactory.get()
              .binaryDecoder(bytes, HEADER_BYTES, bytes.length - HEADER_BYTES, null);
      T value = reader.cast(new SpecificDatumReader<T>(writer, readerSchema).read(null, decoder));
      if (!decoder.isEnd()) {
        // Whatever wrote it did not write by this schema: what was read may be anything.
        throw new UnreadableException(
            "UNDECODABLE",
            "the value of "
                + bytes.length
                + " bytes has bytes left over after its Avro of schema id "
                + id);
      }
      return value;
    } catch (IOException
        | AvroRuntimeException
        | ClassCastException
        | IndexOutOfBoundsException
        | UnsupportedOperationException
        | IllegalArgumentException
        | NegativeArraySizeException
        | StackOverflowError e) {
      throw new UnreadableException(
          "UNDECODABLE",
          "the value of "
              + bytes.length
              + " bytes is not Avro of schema id "
              + id
              + " ("
              + e.getClass().getSimpleName()
              + ")",
          e);
    }
  }

  /** The id of the schema that a value says it was written with; empty where it says none. */
  public static OptionalInt schemaId(byte @Nullable [] bytes) {
    return bytes == null || bytes.length < HEADER_BYTES || bytes[0] != 0
        ? OptionalInt.empty()
        : OptionalInt.of(ByteBuffer.wrap(bytes, 1, 4).getInt());
  }

  /**
   * Whether the registry gives a schema now: it is asked anew, whatever is remembered.
   *
   * @param id of a schema
   */
  public boolean gives(int id) {
    registry.reset();
    try {
      var unused = look(id);
      return true;
    } catch (UnreadableException | EnvironmentException e) {
      return false;
    }
  }

  private Writer look(int id) throws UnreadableException {
    try {
      ParsedSchema parsed = registry.getSchemaById(id);
      if (!(parsed.rawSchema() instanceof Schema schema)) {
        throw new UnreadableException("WRONG_SCHEMA", "schema id " + id + " is not Avro");
      }
      Writer writer = new Writer(schema, SchemaBounds.hold(schema));
      writers.put(id, writer);
      return writer;
    } catch (RestClientException e) {
      // Any other 404 may come from a proxy or a wrong path: it says nothing about the record.
      if (e.getErrorCode() == SCHEMA_NOT_FOUND) {
        throw new UnreadableException(
            "UNKNOWN_SCHEMA", "schema id " + id + " is not in the registry", e);
      }
      throw unreachable(e);
    } catch (IOException e) {
      if (saysNotAvro(e)) {
        throw new UnreadableException("WRONG_SCHEMA", "schema id " + id + " is not Avro", e);
      }
      throw unreachable(e);
    } catch (RuntimeException e) {
      if (saysNotAvro(e)) {
        throw new UnreadableException("WRONG_SCHEMA", "schema id " + id + " is not Avro", e);
      }
      // A reference of the schema may be cached as it was answered, that is, as nothing.
      registry.reset();
      throw noSchema(id, e);
    }
  }

  /** The answer was one of a gateway, say: status 200, and no schema in it. */
  private static EnvironmentException noSchema(int id, RuntimeException e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof EnvironmentException environment) {
        return environment;
      }
    }
    return new EnvironmentException(
        "the schema registry gave no schema of id " + id + " (" + Failure.describe(e) + ")", e);
  }

  /** The client knows no better type for it than a bare exception, in a cache's wrapping or not. */
  private static boolean saysNotAvro(Exception e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      boolean bare =
          cause.getClass() == IOException.class || cause.getClass() == IllegalStateException.class;
      if (bare && String.valueOf(cause.getMessage()).startsWith(NO_PROVIDER)) {
        return true;
      }
    }
    return false;
  }

  private static EnvironmentException unreachable(Throwable cause) {
    String detail =
        cause instanceof RestClientException rest
            ? "answered " + rest.getStatus()
            : "can not be reached (" + cause.getClass().getSimpleName() + ")";
    return new EnvironmentException("the schema registry " + detail, cause);
  }

  @Override
  public void close() {
    serializer.close();
    try {
      registry.close();
    } catch (IOException e) {
      throw new UncheckedIOException("the registry's client did not close", e);
    }
  }
}
