package dev.whence.serde;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.avro.LlmResponse;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Credentials are found through service files, which unpacking must not leave behind. */
class RegistryCredentialsTest {
  private static final byte[] ANSWER = "{\"id\": 1}".getBytes(StandardCharsets.UTF_8);

  private final List<String> authorizations = Collections.synchronizedList(new ArrayList<>());
  private HttpServer http;

  @BeforeEach
  void startServer() throws IOException {
    http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    http.createContext(
        "/",
        exchange -> {
          authorizations.add(
              String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
          exchange.getRequestBody().readAllBytes();
          exchange.getResponseHeaders().set("Content-Type", "application/json");
          exchange.sendResponseHeaders(200, ANSWER.length);
          exchange.getResponseBody().write(ANSWER);
          exchange.close();
        });
    http.start();
  }

  @AfterEach
  void stopServer() {
    http.stop(0);
  }

  @Test
  void userAndPasswordAreSent() {
    serialize(
        Map.of("basic.auth.credentials.source", "USER_INFO", "basic.auth.user.info", "user:pass"));

    String expected =
        Base64.getEncoder().encodeToString("user:pass".getBytes(StandardCharsets.UTF_8));
    assertThat(authorizations).isNotEmpty().containsOnly("Basic " + expected);
  }

  @Test
  void aTokenIsSent() {
    serialize(
        Map.of("bearer.auth.credentials.source", "STATIC_TOKEN", "bearer.auth.token", "token-1"));

    assertThat(authorizations).isNotEmpty().containsOnly("Bearer token-1");
  }

  private void serialize(Map<String, String> registry) {
    String url = "http://127.0.0.1:" + http.getAddress().getPort();
    try (KafkaAvroSerializer serializer = new KafkaAvroSerializer()) {
      serializer.configure(AvroSerdes.serializer(url, true, registry), false);
      byte[] bytes = serializer.serialize("t", LlmResponse.newBuilder().setResponseId("r").build());
      assertThat(bytes).startsWith(0, 0, 0, 0, 1);
    }
  }
}
