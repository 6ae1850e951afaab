package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;

import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import java.io.IOException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.junit.jupiter.api.Test;

class TroubleTest {
  @Test
  void whatTheRegistryAnswersIsSaidWithWhatToDo() {
    assertThat(
            Trouble.of(
                new SerializationException(
                    "CANARY", new RestClientException("Schema not found", 404, 40403))))
        .isEqualTo(
            "the schema registry answers 404 (error code 40403); register the schemas with whence"
                + " topics --create");
    assertThat(
            Trouble.of(
                new SerializationException(
                    "CANARY",
                    new IOException("CANARY", new RestClientException("Unauthorized", 401, 401)))))
        .isEqualTo(
            "the schema registry answers 401 (error code 401); check the credentials in the"
                + " registry settings");
  }

  @Test
  void messagesOfWhatMayQuoteAResponseAreLeftOut() {
    assertThat(Trouble.of(new SerializationException("CANARY", new IOException("CANARY"))))
        .isEqualTo("SerializationException after IOException");
    assertThat(Trouble.of(new TimeoutException("CANARY"))).isEqualTo("TimeoutException");
  }

  @Test
  void aProducerThatCanNotBeMadeNamesTheWrongSettingButNoPartOfAPassword() {
    assertThat(
            Trouble.of(
                new Trouble.NoClient(
                    new KafkaException(
                        "Failed to construct kafka producer",
                        new KafkaException("Failed to load SSL keystore /no/such.p12")))))
        .isEqualTo(
            "Kafka's client can not be made of its settings: Failed to construct kafka producer:"
                + " Failed to load SSL keystore /no/such.p12");
    assertThat(
            Trouble.of(
                new Trouble.NoClient(
                    new IllegalArgumentException(
                        "Value not specified for key 'CANARY' in JAAS config"))))
        .endsWith("Value not specified for key '...' in JAAS config");
  }
}
