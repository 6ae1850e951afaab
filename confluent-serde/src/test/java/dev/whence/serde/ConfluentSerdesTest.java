package dev.whence.serde;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceScore;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.MockSchemaRegistryClient;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.errors.SerializationException;
import org.junit.jupiter.api.Test;

/** Confluent's own classes, with the settings of {@link AvroSerdes}, current Avro and clients. */
class ConfluentSerdesTest {
  private static final Topics TOPICS = new Topics(Topics.DEFAULT_PREFIX);
  private static final int HEADER_BYTES = 5;

  private final MockSchemaRegistryClient registry = new MockSchemaRegistryClient();

  private final Conversation conversation =
      ConversationCodec.read(
          """
          {"responseId": "r-1", "occurredAt": "2026-11-22T10:00:00.250Z", "response": "a \\ud83d\\ude00",
           "messages": [{"role": "user", "content": [
             {"kind": "retrieved", "text": "One. Two.", "sources": [[0, 5]]}, {"text": "q"}]}]}
          """);

  @Test
  void everyContractComesBackAsItsGeneratedRecord() {
    LlmResponse response = LlmResponses.toAvro(conversation);
    Attribution attribution =
        Attribution.newBuilder()
            .setResponseId("r-1")
            .setPhase(AttributionPhase.FINAL)
            .setStatus(ScoringStatus.SCORED)
            .setLogLikelihood(-1.5)
            .setSources(List.of(SourceScore.newBuilder().setSegment("m0.p0").setTau(2.5).build()))
            .setMatrix(List.of(List.of(2.5)))
            .setOccurredAt(Instant.parse("2026-11-22T10:00:00.250Z"))
            .build();
    Escalation escalation =
        Escalation.newBuilder()
            .setResponseId("r-1")
            .setResponse(response)
            .setFast(attribution)
            .build();
    ModelRelease release =
        ModelRelease.newBuilder()
            .setModelId("m-1")
            .setRoles(List.of(ModelRole.FAST, ModelRole.TARGET))
            .build();

    for (SpecificRecord record : List.of(response, attribution, escalation, release)) {
      byte[] bytes = serialize("t-" + record.getSchema().getName(), record);
      Object back = deserializer(true).deserialize("t-" + record.getSchema().getName(), bytes);

      assertThat(bytes[0]).isZero();
      assertThat(back).isEqualTo(record).hasSameClassAs(record);
    }
    LlmResponse back =
        (LlmResponse)
            deserializer(true).deserialize("t-LlmResponse", serialize("t-LlmResponse", response));
    assertThat(LlmResponses.fromAvro(back)).isEqualTo(conversation);
  }

  @Test
  void theSchemaIsRegisteredAsItStandsUnderTheTopicsName() throws Exception {
    serialize(TOPICS.responses().name(), LlmResponses.toAvro(conversation));

    assertThat(registry.getAllSubjects()).containsExactly("whence.responses-value");
    assertThat(registry.getLatestSchemaMetadata("whence.responses-value").getSchema())
        .isEqualTo(TOPICS.responses().value().orElseThrow().toString())
        .doesNotContain("avro.java");
  }

  @Test
  void withoutRegistrationTheSchemaOfTheCatalogueIsFoundAndAnyOtherIsRefused() throws Exception {
    registry.register(
        TOPICS.responses().subject(), new AvroSchema(TOPICS.responses().value().orElseThrow()));
    KafkaAvroSerializer serializer = serializer(false);
    LlmResponse response = LlmResponses.toAvro(conversation);

    byte[] bytes = serializer.serialize(TOPICS.responses().name(), response);

    assertThat(deserializer(true).deserialize(TOPICS.responses().name(), bytes))
        .isEqualTo(response);
    assertThatThrownBy(() -> serializer.serialize("elsewhere", response))
        .isInstanceOf(SerializationException.class);
  }

  @Test
  void aReaderWithoutOurClassesGetsAGenericRecord() {
    byte[] bytes = serialize("t", LlmResponses.toAvro(conversation));

    Object back = deserializer(false).deserialize("t", bytes);

    assertThat(back).isInstanceOf(GenericRecord.class).isNotInstanceOf(LlmResponse.class);
    assertThat(((GenericRecord) back).get("responseId").toString()).isEqualTo("r-1");
  }

  @Test
  void anUnknownSchemaIdIsASerializationException() {
    byte[] bytes = serialize("t", LlmResponses.toAvro(conversation));
    ByteBuffer.wrap(bytes).putInt(1, 4711);

    assertThatThrownBy(() -> deserializer(true).deserialize("t", bytes))
        .isInstanceOf(SerializationException.class)
        .hasMessageContaining("4711");
  }

  @Test
  void bytesThatAreNotInTheWireFormatAreASerializationException() {
    assertThatThrownBy(() -> deserializer(true).deserialize("t", new byte[] {7, 0, 0, 0, 1, 2}))
        .isInstanceOf(SerializationException.class);
  }

  @Test
  void lessThanAFrameIsNotASerializationExceptionSoReadersMustExpectAnyRuntimeException() {
    // Confluent's choice, which this test holds on to so that nobody relies on the other.
    assertThatThrownBy(() -> deserializer(true).deserialize("t", new byte[] {0, 0}))
        .isInstanceOf(BufferUnderflowException.class);
  }

  @Test
  void aRecordCutAnywhereIsASerializationException() {
    byte[] whole = serialize("t", LlmResponses.toAvro(conversation));
    KafkaAvroDeserializer deserializer = deserializer(true);

    for (int length = HEADER_BYTES; length < whole.length; length++) {
      byte[] cut = Arrays.copyOf(whole, length);
      assertThatThrownBy(() -> deserializer.deserialize("t", cut))
          .as("cut to %d bytes", length)
          .isInstanceOf(SerializationException.class);
    }
  }

  @Test
  void anAvroBombIsASerializationException() {
    byte[] whole = serialize("t", LlmResponses.toAvro(conversation));
    // In place of responseId: a string of 1.9 billion bytes, zig-zag coded.
    long length = 1_900_000_000L << 1;
    byte[] bomb = Arrays.copyOf(whole, HEADER_BYTES + 5);
    for (int i = 0; i < 5; i++) {
      bomb[HEADER_BYTES + i] = (byte) ((length >> (7 * i) & 0x7F) | (i < 4 ? 0x80 : 0));
    }

    assertThatThrownBy(() -> deserializer(true).deserialize("t", bomb))
        .isInstanceOf(SerializationException.class)
        .hasStackTraceContaining("exceeds maximum allowed");
  }

  @Test
  void settingsOfTheContractCannotBeOverridden() {
    assertThatThrownBy(
            () ->
                AvroSerdes.serializer(
                    "http://127.0.0.1:1",
                    false,
                    Map.of("use.latest.version", "true", "basic.auth.user.info", "u:p")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("use.latest.version")
        .hasMessageNotContainingAny("u:p", "basic.auth");
  }

  private byte[] serialize(String topic, SpecificRecord record) {
    return serializer(true).serialize(topic, record);
  }

  private KafkaAvroSerializer serializer(boolean autoRegister) {
    KafkaAvroSerializer serializer = new KafkaAvroSerializer(registry);
    serializer.configure(AvroSerdes.serializer("mock://t", autoRegister, Map.of()), false);
    return serializer;
  }

  private KafkaAvroDeserializer deserializer(boolean specific) {
    Map<String, Object> configuration = AvroSerdes.deserializer("mock://t", Map.of());
    configuration.put("specific.avro.reader", specific);
    KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer(registry);
    deserializer.configure(configuration, false);
    return deserializer;
  }
}
