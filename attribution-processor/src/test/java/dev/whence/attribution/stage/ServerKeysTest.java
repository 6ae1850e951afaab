package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.attribution.remote.RemoteOptions;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.Settings;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ServerKeysTest {
  private static AttributionConfig config(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", "127.0.0.1:1");
    settings.put("registry.url", "http://127.0.0.1:1");
    settings.put("model", "m");
    settings.put("server.url", "http://127.0.0.1:1");
    settings.putAll(more);
    return AttributionConfig.read(Settings.of(settings));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "splice",
        "paragraph-splice",
        "cascade",
        "attention",
        "gradient-norm",
        "similarity"
      })
  void aMethodThatNoServerCanDoIsRefusedAtTheStart(String method) {
    assertThatThrownBy(() -> config(Map.of("attribution.method", method)))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("'" + method + "', but a server can not");
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-loo", "naive-loo", "hierarchical", "contextcite"})
  void theOthersAreTaken(String method) {
    assertThat(config(Map.of("attribution.method", method)).server()).isPresent();
  }

  @Test
  void aServerIsGivenUpBeforeTheWatchdogHaltsTheProcess() {
    RemoteOptions server =
        config(Map.of("hang.factor", "4", "hang.at-least", "90s")).server().orElseThrow();
    assertThat(server.patience()).isEqualTo(new RemoteOptions.Patience(4, Duration.ofSeconds(90)));
  }

  @Test
  void llamaCppIsAskedOneByOneWhereNothingElseIsSaid() {
    Map<String, String> llama = Map.of("server.protocol", "llama-cpp");
    assertThat(config(llama).server().orElseThrow().concurrency()).isEqualTo(1);
    assertThat(config(Map.of()).server().orElseThrow().concurrency()).isEqualTo(8);
  }
}
