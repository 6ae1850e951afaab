package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.RenderedPrompt;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** A real file: SmolLM2-135M-Instruct as GGUF, Q4_1. Skipped where WHENCE_TEST_MODEL is unset. */
@EnabledIfEnvironmentVariable(named = "WHENCE_TEST_MODEL", matches = ".+\\.gguf")
class SmolLmFileTest {
  private static ModelFiles model;

  @BeforeAll
  static void open() {
    model = ModelFiles.open(Path.of(System.getenv("WHENCE_TEST_MODEL")));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void theConfigIsThatOfTheModelCard() {
    ModelConfig config = model.config();
    assertThat(config.modelType()).isEqualTo("llama");
    assertThat(config.layers()).isEqualTo(30);
    assertThat(config.hiddenSize()).isEqualTo(576);
    assertThat(config.heads()).isEqualTo(9);
    assertThat(config.keyValueHeads()).isEqualTo(3);
    assertThat(config.headDim()).isEqualTo(64);
    assertThat(config.vocabularySize()).isEqualTo(49152);
    assertThat(config.tiedEmbeddings()).isTrue();
    assertThat(config.normEpsilon()).isEqualTo(1e-5);
    assertThat(config.endTokens()).contains(2);
    assertThat(model.weights().tensors()).hasSize(272);
  }

  @Test
  void textsAreTokenisedByTheRulesOfTheOriginal() throws IOException {
    for (JsonNode expected : Fixtures.json("text/smollm2_tokens.json")) {
      String text = expected.path("text").asText();
      Encoding encoding = model.tokenizer().encode(text);
      assertThat(encoding.ids())
          .as(text)
          .isEqualTo(new ObjectMapper().treeToValue(expected.path("ids"), int[].class));
      assertThat(model.tokenizer().decode(encoding.ids(), false)).isEqualTo(text);
    }
  }

  @Test
  void aPromptIsRenderedAsTheModelCardSays() {
    RenderedPrompt prompt =
        model
            .template()
            .render(
                Conversation.builder("r")
                    .messages(
                        List.of(
                            Message.of("user", List.of(Part.of(PartKind.QUESTION, "q", "Hi?")))))
                    .build());
    assertThat(prompt.text())
        .isEqualTo(
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging"
                + " Face<|im_end|>\n<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n");
    assertThat(prompt.endToken()).isEqualTo("<|im_end|>");
    assertThat(prompt.segments().get(0).rendered().in(prompt.text())).isEqualTo("Hi?");
  }

  @Test
  void weightsAreReadInPiecesAsInOne() {
    TensorInfo info = model.weights().tensors().get("model.layers.0.self_attn.q_proj.weight");
    assertThat(info.shape()).containsExactly(576L, 576L);
    ByteBuffer whole = ByteBuffer.allocate((int) info.byteLength()).order(ByteOrder.LITTLE_ENDIAN);
    model.weights().read(info.name(), 0, whole);
    ByteBuffer piece = ByteBuffer.allocate(4 * 1000).order(ByteOrder.LITTLE_ENDIAN);
    model.weights().read(info.name(), 4 * 70_123, piece);
    for (int i = 0; i < 1000; i++) {
      assertThat(piece.getFloat(4 * i)).isEqualTo(whole.getFloat(4 * (70_123 + i)));
    }
  }
}
