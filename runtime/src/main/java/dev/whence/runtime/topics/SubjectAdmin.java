package dev.whence.runtime.topics;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.Registry;
import dev.whence.runtime.topics.TopicState.Kind;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.Topic;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;

/** The schemas of the topics' values against a registry. */
final class SubjectAdmin {
  private static final String COMPATIBILITY = "FULL_TRANSITIVE";

  private final Connection connection;

  SubjectAdmin(Connection connection) {
    this.connection = connection;
  }

  List<TopicState> run(List<Topic> catalogue, boolean change) {
    List<TopicState> states = new ArrayList<>();
    try (SchemaRegistryClient registry = Registry.client(connection)) {
      for (Topic topic : catalogue) {
        if (topic.value().isPresent()) {
          try {
            states.add(subject(registry, topic.subject(), topic.value().get(), change));
          } catch (RestClientException e) {
            if (!change || e.getStatus() >= 500) {
              throw e;
            }
            String why = "the schema registry answered: " + e.getMessage();
            states.add(new TopicState(topic.subject(), Kind.REFUSED, why));
          }
        }
      }
    } catch (IOException e) {
      throw new EnvironmentException(
          "the schema registry at "
              + connection.registryUrl().replaceAll("//[^/@]*@", "//")
              + " can not be reached ("
              + e.getClass().getSimpleName()
              + ")",
          e);
    } catch (RestClientException e) {
      throw new EnvironmentException("the schema registry answered: " + e.getMessage(), e);
    }
    return states;
  }

  private static TopicState subject(
      SchemaRegistryClient registry, String subject, Schema schema, boolean change)
      throws IOException, RestClientException {
    AvroSchema wanted = new AvroSchema(schema);
    boolean known = isRegistered(registry, subject, wanted);
    String compatibility = compatibility(registry, subject);
    if (known && compatibility.equals(COMPATIBILITY)) {
      return new TopicState(subject, Kind.AS_WANTED, "registered, " + COMPATIBILITY);
    }
    if (!change) {
      return new TopicState(
          subject,
          known ? Kind.DRIFT : Kind.MISSING,
          known
              ? "compatibility is " + compatibility + ", wanted " + COMPATIBILITY
              : "the schema is not registered");
    }
    if (!compatibility.equals(COMPATIBILITY)) {
      registry.updateCompatibility(subject, COMPATIBILITY);
    }
    int id = registry.register(subject, wanted);
    return new TopicState(
        subject, known ? Kind.RAISED : Kind.CREATED, "schema id " + id + ", " + COMPATIBILITY);
  }

  private static boolean isRegistered(
      SchemaRegistryClient registry, String subject, AvroSchema schema)
      throws IOException, RestClientException {
    try {
      registry.getId(subject, schema);
      return true;
    } catch (RestClientException e) {
      if (e.getStatus() == 404) {
        return false;
      }
      throw e;
    }
  }

  private static String compatibility(SchemaRegistryClient registry, String subject)
      throws IOException, RestClientException {
    try {
      return registry.getCompatibility(subject);
    } catch (RestClientException e) {
      if (e.getStatus() == 404) {
        return "the registry's default";
      }
      throw e;
    }
  }
}
