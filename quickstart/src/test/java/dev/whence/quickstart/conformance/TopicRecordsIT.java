package dev.whence.quickstart.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecordBuilder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The Java side of the check under {@code src/test/conformance}: Java reads what Java wrote. */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class TopicRecordsIT {
  private static final Topics TOPICS = new Topics(Topics.DEFAULT_PREFIX);

  @TempDir Path directory;

  @Test
  void everyRecordOfEveryTopicComesBackFieldByFieldAndNoneOfAnAbortedTransaction()
      throws Exception {
    List<ObjectNode> read;
    try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"));
        EmbeddedBroker broker = EmbeddedBroker.open(directory.resolve("kafka"))) {
      Connection connection = Connection.of(broker.bootstrapServers(), registry.url());
      var unused = new TopicAdmin(new Clients(connection), TOPICS.all()).create();
      TopicRecords records = new TopicRecords(broker.bootstrapServers(), registry.url(), TOPICS);
      records.writeSamples();
      read = records.read();
    }

    for (Topic topic : TOPICS.all()) {
      Map<String, JsonNode> found = new HashMap<>();
      for (ObjectNode record : read) {
        if (record.path("topic").asText().equals(topic.name())) {
          found.put(record.path("key").asText(), record.path("value"));
        }
      }
      Map<String, JsonNode> written = new HashMap<>();
      if (topic.value().isPresent()) {
        Schema schema = topic.value().get();
        SampleRecords.of(schema, topic.key())
            .forEach((key, record) -> written.put(key, CanonicalValues.json(schema, record)));
      }
      if (topic.cleanup() == Topic.Cleanup.COMPACT) {
        written.put(TopicRecords.TOMBSTONE, NullNode.instance);
      }
      assertThat(found).as(topic.name()).isEqualTo(written).doesNotContainKey(TopicRecords.ABORTED);
    }
    assertThat(read).filteredOn(record -> record.path("wide").asBoolean()).isNotEmpty();
  }

  /** Whoever adds a field need not come here: the samples have it. */
  @Test
  void samplesHaveEveryFieldOfEveryContractOffItsDefaultAndEverySymbol() {
    for (Topic topic : TOPICS.all()) {
      if (topic.value().isEmpty()) {
        continue;
      }
      Schema schema = topic.value().get();
      Map<String, JsonNode> samples = new TreeMap<>();
      SampleRecords.of(schema, topic.key())
          .forEach((key, record) -> samples.put(key, CanonicalValues.json(schema, record)));
      JsonNode bare = samples.remove("bare");
      for (Schema.Field field : schema.getFields()) {
        assertThat(samples.values().stream().map(record -> record.path(field.name())))
            .as("%s.%s", schema.getName(), field.name())
            .anyMatch(value -> !value.equals(bare.path(field.name())))
            .noneMatch(JsonNode::isNull);
        if (field.schema().getType() == Schema.Type.ENUM) {
          assertThat(samples.values().stream().map(record -> record.path(field.name()).asText()))
              .containsAll(field.schema().getEnumSymbols());
        }
      }
    }
  }

  /** The form that the readers in other languages make, too. */
  @Test
  void valuesAreWrittenDownWithoutLoss() {
    Schema schema =
        new Schema.Parser()
            .parse(
                """
                {"type": "record", "name": "R", "fields": [
                  {"name": "l", "type": "long", "default": 9223372036854775807},
                  {"name": "i", "type": "int", "default": -7},
                  {"name": "d", "type": "double", "default": 1.5},
                  {"name": "f", "type": "float", "default": -2.0},
                  {"name": "b", "type": "bytes", "default": "\\u0000\\u00ff"},
                  {"name": "t", "type": "boolean", "default": true},
                  {"name": "s", "type": "string", "default": "\\u00fc"},
                  {"name": "u", "type": ["null", "string"], "default": null},
                  {"name": "m", "type": {"type": "map", "values": "int"}, "default": {"k": 1}},
                  {"name": "a", "type": {"type": "array", "items": "long"}, "default": [2]},
                  {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X"]},
                   "default": "X"}]}
                """);

    assertThat(CanonicalValues.json(schema, new GenericRecordBuilder(schema).build()))
        .hasToString(
            "{\"l\":\"9223372036854775807\",\"i\":-7,\"d\":\"3ff8000000000000\","
                + "\"f\":\"c0000000\",\"b\":\"00ff\",\"t\":true,\"s\":\"\u00FC\",\"u\":null,"
                + "\"m\":{\"k\":1},\"a\":[\"2\"],\"e\":\"X\"}");
  }
}
