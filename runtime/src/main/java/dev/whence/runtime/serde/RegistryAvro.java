package dev.whence.runtime.serde;

import com.fasterxml.jackson.core.JsonProcessingException;
import dev.whence.runtime.worker.EnvironmentException;
import io.confluent.kafka.schemaregistry.ParsedSchema;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.avro.AvroSchemaProvider;
import io.confluent.kafka.schemaregistry.client.rest.entities.Schema;
import java.util.Map;
import java.util.Optional;

/**
 * Parses the Avro schemas that a registry answers with. Confluent's own says of all that goes wrong
 * that the schema is invalid, and takes an answer without a schema for one; here a schema that is
 * broken is told from one that the registry, or a gateway before it, did not give. The client does
 * not keep a schema of which an exception is thrown here.
 */
final class RegistryAvro extends AvroSchemaProvider {

  /**
   * Empty if the schema is broken.
   *
   * @throws EnvironmentException if it was not given, or not all that it refers to
   */
  @Override
  public Optional<ParsedSchema> parseSchema(Schema schema, boolean isNew, boolean normalize) {
    if (schema.getSchema() == null) {
      throw new EnvironmentException("the schema registry answered without a schema");
    }
    Map<String, String> references = references(schema, isNew);
    try {
      return Optional.of(
          new AvroSchema(
              schema.getSchema(),
              schema.getReferences(),
              references,
              schema.getMetadata(),
              schema.getRuleSet(),
              null,
              /* isNew= */ false));
    } catch (RuntimeException | StackOverflowError e) {
      if (e.getCause() instanceof JsonProcessingException) { // no registry takes such a one
        throw new EnvironmentException("the schema registry answered with what is no schema", e);
      }
      return Optional.empty();
    }
  }

  private Map<String, String> references(Schema schema, boolean isNew) {
    Map<String, String> references;
    try {
      references = resolveReferences(schema, isNew);
    } catch (RuntimeException e) {
      throw new EnvironmentException("the schema registry did not give what a schema refers to", e);
    }
    if (references.containsValue(null)) {
      throw new EnvironmentException("the schema registry answered without a schema referred to");
    }
    return references;
  }
}
