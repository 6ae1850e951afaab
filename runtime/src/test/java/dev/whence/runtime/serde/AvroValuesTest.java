package dev.whence.runtime.serde;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.sun.net.httpserver.HttpServer;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whose fault it is that a value can not be read, by what the registry answers. */
@Timeout(60)
class AvroValuesTest {
  private static final byte[] ID_SEVEN = {0, 0, 0, 0, 7, 0};

  @Test
  void aSchemaOfAnotherTypeIsTheRecordsFault() throws Exception {
    assertThat(
            unreadable(200, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"syntax = \\\"proto3\\\";\"}")
                .code())
        .isEqualTo("WRONG_SCHEMA");
    assertThat(unreadable(200, "{\"schemaType\":\"JSON\",\"schema\":\"{}\"}").code())
        .isEqualTo("WRONG_SCHEMA");
  }

  @Test
  void anIdThatTheRegistryDoesNotKnowIsTheRecordsFault() throws Exception {
    assertThat(unreadable(404, "{\"error_code\":40403,\"message\":\"Schema 7 not found\"}").code())
        .isEqualTo("UNKNOWN_SCHEMA");
  }

  @Test
  void anyOtherNotFoundIsTheEnvironments() throws Exception {
    for (String body : new String[] {"<html>no such page</html>", "{\"error_code\":404}"}) {
      assertThat(failure(404, body)).isInstanceOf(EnvironmentException.class);
    }
    assertThat(failure(500, "{\"error_code\":50001,\"message\":\"store\"}"))
        .isInstanceOf(EnvironmentException.class);
  }

  @Test
  void aRegistryThatSwallowsRequestsIsGivenUpSoon() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        AvroValues values =
            new AvroValues(
                Connection.of("unused:1", "http://127.0.0.1:" + silent.getLocalPort()))) {
      long began = System.nanoTime();
      assertThat(catchThrowableOfType(EnvironmentException.class, () -> read(values)))
          .hasMessageContaining("can not be reached");
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(20));
    }
  }

  private static UnreadableException unreadable(int status, String body) throws IOException {
    Throwable thrown = failure(status, body);
    assertThat(thrown).isInstanceOf(UnreadableException.class);
    return (UnreadableException) thrown;
  }

  private static Throwable failure(int status, String body) throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          byte[] answer = body.getBytes(StandardCharsets.UTF_8);
          exchange.getRequestBody().readAllBytes();
          exchange.sendResponseHeaders(status, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
    try (AvroValues values =
        new AvroValues(
            Connection.of("unused:1", "http://127.0.0.1:" + server.getAddress().getPort()))) {
      return catchThrowableOfType(Exception.class, () -> read(values));
    } finally {
      server.stop(0);
    }
  }

  private static LlmResponse read(AvroValues values) throws UnreadableException {
    return values.read(ID_SEVEN, LlmResponse.class, LlmResponse.getClassSchema());
  }
}
