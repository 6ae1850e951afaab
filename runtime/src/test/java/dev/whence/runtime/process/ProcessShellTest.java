package dev.whence.runtime.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.HttpEndpoint;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** Health and metrics around the stages. */
class ProcessShellTest {
  private static final HttpEndpoint ANY = new HttpEndpoint("127.0.0.1", 0);

  private static int status(int port) throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + port + "/health/ready");
    return HttpClient.newHttpClient()
        .send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.discarding())
        .statusCode();
  }

  @Test
  void isNotReadyBeforeTheProcessorHasStarted() throws Exception {
    try (ProcessShell started =
        ProcessShell.start(
            ANY,
            shell -> {
              assertThat(shell.health().isReady()).isFalse();
              assertThat(shell.health().reasons()).containsEntry("process", "starting");
              return shell;
            })) {
      assertThat(started.health().isReady()).isTrue();
      assertThat(status(started.httpPort().orElseThrow())).isEqualTo(200);
    }
  }

  @Test
  void aProcessorThatDoesNotStartLeavesThePortFree() throws IOException {
    int[] port = new int[1];
    assertThatThrownBy(
            () ->
                ProcessShell.start(
                    ANY,
                    shell -> {
                      port[0] = shell.httpPort().orElseThrow();
                      throw new IllegalStateException("no model");
                    }))
        .hasMessage("no model");
    try (ServerSocket free = new ServerSocket(port[0], 1, InetAddress.getLoopbackAddress())) {
      assertThat(free.isBound()).isTrue();
    }
  }

  @Test
  void aPortThatIsTakenIsARefusalOfTheConfiguration() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      HttpEndpoint same = new HttpEndpoint("127.0.0.1", taken.getLocalPort());
      assertThatThrownBy(() -> ProcessShell.start(same, shell -> shell))
          .isInstanceOf(ConfigException.class)
          .hasMessageContaining(String.valueOf(taken.getLocalPort()));
    }
  }

  @Test
  void withoutAnEndpointNothingIsServed() {
    try (ProcessShell shell =
        ProcessShell.start(new HttpEndpoint("127.0.0.1", -1), started -> started)) {
      assertThat(shell.httpPort()).isEqualTo(OptionalInt.empty());
    }
  }
}
