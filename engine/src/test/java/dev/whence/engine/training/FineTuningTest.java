package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole job: a model, files of text, a model. */
class FineTuningTest {
  private static final Path LLAMA = Path.of("src/test/resources/fixtures/weights/llama");
  private static final TrainingOptions OPTIONS =
      TrainingOptions.of(new Schedule.Cosine(1e-2, 0, 2, 24))
          .withEngine(EngineOptions.defaults().withDevice("cpu"));

  @TempDir Path directory;
  private Path corpus;
  private Path conversations;

  @BeforeEach
  void texts() throws IOException {
    corpus =
        Files.writeString(
            directory.resolve("corpus.jsonl"),
            "{\"text\": \"the cat sat on the mat\"}\n{\"text\": \"the dog sat on the log\"}\n");
    conversations =
        Files.writeString(
            directory.resolve("conversations.jsonl"),
            "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
                + "\"response\":\"on the mat.\"}\n");
  }

  private FineTuning job(Path from) {
    return new FineTuning(
        from, List.of(corpus), List.of(conversations), OPTIONS, 24, 3, 8, 5, ElementType.F32);
  }

  /** The fixture with a chat template, as models that talk have one. */
  private Path chatModel() throws IOException {
    Path copy = Files.createDirectories(directory.resolve("model"));
    try (Stream<Path> files = Files.list(LLAMA)) {
      for (Path file : files.toList()) {
        Files.copy(
            file,
            copy.resolve(String.valueOf(file.getFileName())),
            StandardCopyOption.REPLACE_EXISTING);
      }
    }
    Files.writeString(
        Files.createDirectories(copy.resolve("additional_chat_templates"))
            .resolve("tool_use.jinja"),
        "{{ tools[0] }}");
    Files.writeString(
        copy.resolve("chat_template.jinja"),
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
            + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
    return copy;
  }

  @Test
  void theModelLearnsItsTextsAndOpens() throws IOException {
    Path from = chatModel();
    Path output = directory.resolve("out");
    Seen seen = new Seen();
    job(from).run(output, seen);
    assertThat(seen.reports).hasSize(24);
    // Each step reads all three texts: the losses are of the same tokens.
    assertThat(seen.reports).allMatch(report -> report.tokens() == seen.reports.get(0).tokens());
    assertThat(seen.reports.get(23).loss()).isLessThan(seen.reports.get(0).loss() / 2);
    try (ModelFiles before = ModelFiles.open(from);
        ModelFiles after = ModelFiles.open(output)) {
      assertThat(after.config()).isEqualTo(before.config());
      assertThat(after.tokenizer().encode("the cat").ids())
          .isEqualTo(before.tokenizer().encode("the cat").ids());
      assertThat(after.digest()).isNotEqualTo(before.digest());
      assertThat(output.resolve("additional_chat_templates/tool_use.jinja"))
          .hasSameBinaryContentAs(from.resolve("additional_chat_templates/tool_use.jinja"));
      TrainingTexts texts = new TrainingTexts(after.tokenizer(), after.template(), 64);
      List<Example> examples = new ArrayList<>(texts.documents(corpus));
      examples.addAll(texts.conversations(conversations));
      try (Trainer trainer = Trainer.from(after.config(), after.weights(), OPTIONS)) {
        double scored = seen.reports.get(0).scoredTokens();
        double loss = 0;
        for (double one : trainer.losses(examples)) {
          loss += one / scored;
        }
        // The schedule ends at rate 0: the last step changed next to nothing.
        assertThat(loss).isLessThanOrEqualTo(seen.reports.get(23).loss() + 1e-3);
      }
    }
  }

  @Test
  void aJobThatWasCutOffGoesOnToTheSameBytes() throws IOException {
    Path from = chatModel();
    job(from).run(directory.resolve("straight"), new Seen());
    Seen cut = new Seen();
    cut.stopAt = 13;
    assertThatThrownBy(() -> job(from).run(directory.resolve("cut"), cut))
        .isInstanceOf(Seen.CutOffException.class);
    assertThat(directory.resolve("cut/model.safetensors")).doesNotExist();
    Seen again = new Seen();
    job(from).run(directory.resolve("cut"), again);
    assertThat(again.resumed).containsExactly(8L);
    assertThat(directory.resolve("cut/model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("straight/model.safetensors"));
  }

  @Test
  void checkpointsOfAnotherCorpusAreRefused() throws IOException {
    Path from = chatModel();
    job(from).run(directory.resolve("out"), new Seen());
    Files.writeString(corpus, "{\"text\": \"the cat sat on the log\"}\n");
    assertThatThrownBy(() -> job(from).run(directory.resolve("out"), new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessageContaining("another model, recipe or seed");
  }

  @Test
  void checkpointsOfAnotherOptimiserAreRefused() throws IOException {
    Path from = chatModel();
    job(from).run(directory.resolve("out"), new Seen());
    FineTuning other =
        new FineTuning(
            from,
            List.of(corpus),
            List.of(conversations),
            OPTIONS.withWeightDecay(OPTIONS.weightDecay() + 0.05),
            24,
            3,
            8,
            5,
            ElementType.F32);
    assertThatThrownBy(() -> other.run(directory.resolve("out"), new Seen()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("another model, recipe or seed");
  }

  @Test
  void noModelIsReplacedThatTrainingDidNotMakeItself() throws IOException {
    Path from = chatModel();
    byte[] before = Files.readAllBytes(from.resolve("model.safetensors.index.json"));
    assertThatThrownBy(() -> job(from).run(directory.resolve("./model"), new Seen()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("is the model that training starts from");
    Path other = Files.createDirectories(directory.resolve("other"));
    Files.copy(
        from.resolve("model.safetensors.index.json"),
        other.resolve("model.safetensors.index.json"));
    assertThatThrownBy(() -> job(from).run(other, new Seen()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("holds a model already");
    assertThat(from.resolve("model.safetensors.index.json")).hasBinaryContent(before);
    assertThat(other.resolve("model.safetensors.index.json")).hasBinaryContent(before);
    assertThat(other.resolve("checkpoints")).doesNotExist();
  }

  @Test
  void aCorpusThatIsNotUtf8IsRefusedBeforeAnythingIsWritten() throws IOException {
    Path from = chatModel();
    Files.write(corpus, "{\"text\": \"caf\u00e9\"}\n".getBytes(StandardCharsets.ISO_8859_1));
    assertThatThrownBy(() -> job(from).run(directory.resolve("out"), new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
        .hasMessage(corpus + ", line 1: byte 13 (0xe9) is not UTF-8; convert the file to UTF-8.");
    assertThat(directory.resolve("out")).doesNotExist();
  }

  @Test
  void aGgufIsNoModelToGoOnFrom() throws IOException {
    Path gguf = Files.write(directory.resolve("model.gguf"), new byte[] {'G', 'G', 'U', 'F'});
    assertThatThrownBy(() -> job(gguf).run(directory.resolve("out"), new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessage(
            gguf
                + " is no directory in Hugging Face layout: training writes one, and takes tokenizer"
                + " and configuration over from where it starts.");
  }

  @Test
  void nothingToLearnFromIsRefused() {
    assertThatThrownBy(
            () -> new FineTuning(LLAMA, List.of(), List.of(), OPTIONS, 1, 1, 1, 1, ElementType.F32))
        .hasMessageContaining("neither a corpus nor a file of conversations");
  }
}
