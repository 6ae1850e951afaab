package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.engine.text.ChatTemplate;
import dev.whence.engine.text.SpecialTokens;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Answers of a model that reasons first, whose records say nothing of it. */
class ReasoningMissingTest {
  private static final Path TEMPLATES =
      Path.of("../engine/src/test/resources/fixtures/text/templates");

  private static final Part[] PARTS = {
    document("d", "The cat sat on the mat. "), question("Where is the cat?")
  };

  private static Set<String> flags(String template, Conversation conversation) throws IOException {
    ToyTokenizer tokenizer = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);
    ChatTemplate chat =
        ChatTemplate.of(
            Files.readString(TEMPLATES.resolve(template + ".jinja")),
            new SpecialTokens(Map.of(), false),
            tokenizer,
            template);
    AttributionResult result =
        new Attributor(new ToyTransformer(tokenizer, 4096, 1, chat), AttributionOptions.DEFAULT)
            .attribute(conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    return Set.copyOf(result.flags());
  }

  @Test
  void anAnswerThatStandsRightBehindThePromptIsNotWhatProductionSaw() throws IOException {
    assertThat(flags("qwen3", Conversations.of("The mat.", "stop", PARTS)))
        .containsExactly("REASONING_MISSING");
    assertThat(flags("qwen2.5", Conversations.of("The mat.", "stop", PARTS))).isEmpty();
  }

  @Test
  void reasoningInTheRecordOrInItsResponseIsNotMissing() throws IOException {
    assertThat(flags("qwen3", Conversations.reasoned("So: a mat.", "The mat.", PARTS))).isEmpty();
    assertThat(
            flags("qwen3", Conversations.of("<think>\nSo.\n</think>\n\nThe mat.", "stop", PARTS)))
        .isEmpty();
    // An empty block was read, too: reasoning was switched off.
    assertThat(flags("qwen3", Conversations.reasoned("\n", "The mat.", PARTS))).isEmpty();
  }

  @Test
  void aRawPromptIsWhatItsCallerMadeOfIt() throws IOException {
    assertThat(flags("qwen3", Conversations.raw("The mat.", PARTS))).isEmpty();
    assertThat(
            flags("qwen3", Conversations.raw("The mat.", PARTS[0], question("Where? <think>\n"))))
        .containsExactly("REASONING_MISSING");
  }
}
