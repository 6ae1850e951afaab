package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.Settings;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateKeyTest {
  private static final String TEMPLATE =
      "{% for m in messages %}t1 t2 t3 {{ m.content }} t4 {% endfor %}";

  @TempDir private Path directory = Path.of("");

  private static AttributionConfig config(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", "127.0.0.1:1");
    settings.put("registry.url", "http://127.0.0.1:1");
    settings.put("engine.dtype", "fp32");
    settings.put("engine.device", "cpu");
    settings.putAll(more);
    return AttributionConfig.read(Settings.of(settings));
  }

  private static AttributionResult attribute(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>(more);
    settings.put("model", AttributionCluster.MODELS.resolve("smollm2").toString());
    AttributionConfig config = config(settings);
    Conversation conversation =
        Conversations.of(
            "t9 t8",
            "",
            Part.of(PartKind.INSTRUCTION, "instruction", "t20 t21 "),
            Part.of(PartKind.RETRIEVED, "doc", "t10 t11 t12"));
    try (ScoringModel scoring =
        new ScoringModel(
            ModelLoader.local(config.engine()),
            config.runtime().models(),
            config.attribution(),
            config.model().map(Path::of),
            List.of(),
            config.chatTemplate(),
            new SimpleMeterRegistry())) {
      scoring.openFirst(List.of());
      return scoring.attributing(attributor -> attributor.attribute(conversation));
    }
  }

  @Test
  void aBaseModelIsPromptedWithTheTemplateOfTheFile() throws IOException {
    Path file = Files.writeString(directory.resolve("chat.jinja"), TEMPLATE);
    AttributionResult plain = attribute(Map.of());
    AttributionResult templated = attribute(Map.of("chat-template", file.toString()));
    assertThat(templated.promptTokens()).isEqualTo(plain.promptTokens() + 4);
    assertThat(templated.sources()).hasSameSizeAs(plain.sources());
  }

  @Test
  void aFileThatIsNoTemplateIsRefusedAtTheStart() throws IOException {
    Path broken = Files.writeString(directory.resolve("broken.jinja"), "{% for m in %}");
    assertThatThrownBy(
            () -> config(Map.of("model", "m", "chat-template", directory + "/missing.jinja")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("chat-template")
        .hasMessageContaining("missing.jinja");
    assertThatThrownBy(() -> config(Map.of("model", "m", "chat-template", broken.toString())))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("is no template");
  }

  @Test
  void aTemplateWithoutAModelIsRefused() throws IOException {
    Path file = Files.writeString(directory.resolve("chat.jinja"), TEMPLATE);
    assertThatThrownBy(
            () ->
                config(
                    Map.of("models.roots", directory.toString(), "chat-template", file.toString())))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("chat-template is for model");
  }
}
