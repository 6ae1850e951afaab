package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The models on the way from the fine-tuned one to the result: their tensors, rows and texts. */
class ConnectivityTest extends TinyTransfer {
  /** What a judge found in a directory that it was given. */
  private record Seen(Path model, Map<String, String> texts, Map<String, List<Float>> tensors) {}

  /** Remembers the models on the way; every loss is one. */
  private static final class Observer implements Judge {
    private final Map<Path, Seen> onTheWay = new LinkedHashMap<>();

    @Override
    public double loss(Path model, Path set) {
      if (model.toString().contains("connectivity") && !onTheWay.containsKey(model)) {
        Map<String, String> texts = new TreeMap<>();
        Map<String, List<Float>> tensors = new TreeMap<>();
        try (Stream<Path> files = Files.list(model)) {
          for (Path file : files.toList()) {
            String name = file.getFileName().toString();
            if (!name.endsWith(".safetensors") && !name.equals(Manifest.FILE)) {
              texts.put(name, Files.readString(file));
            }
          }
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
        for (String tensor : ModelFolder.values(model).keySet()) {
          tensors.put(tensor, ModelFolder.floats(model, tensor));
        }
        onTheWay.put(model, new Seen(model, texts, tensors));
      }
      return 1;
    }

    List<Seen> seen() {
      return List.copyOf(onTheWay.values());
    }
  }

  private static ModelFolder talking(String template, int end, int rope, float x) {
    return new ModelFolder()
        .text(
            "config.json",
            "{\"vocab_size\": 4, \"eos_token_id\": " + end + ", \"rope_theta\": " + rope + "}")
        .text("generation_config.json", "{\"eos_token_id\": " + end + "}")
        .text("tokenizer_config.json", "{\"chat_template\": \"" + template + "\"}")
        .add(ModelFolder.f32(WEIGHT, x));
  }

  @Test
  void allModelsOnTheWayHaveTheTextsOfTheReleaseAndWeightsFromFToM() throws IOException {
    TransferRequest request =
        TransferRequest.of(
            talking("of B", 0, 100, 1).write(directory.resolve("b")),
            talking("of F", 2, 100, 2).write(directory.resolve("f")),
            talking("of T", 1, 500, 6).write(directory.resolve("t")));
    for (Policies.Template whose : Policies.Template.values()) {
      Observer judge = new Observer();
      Path merged = directory.resolve("merged-" + whose);
      Policies policies =
          Policies.of(Map.of("template", whose.name().toLowerCase(Locale.ROOT).replace('_', '-')));
      measure(judge, request.withPolicies(policies), merged);

      assertThat(judge.seen()).hasSize(10);
      for (int i = 0; i < 10; i++) {
        Seen point = judge.seen().get(i);
        point
            .texts()
            .forEach((name, text) -> assertThat(merged.resolve(name)).as(name).hasContent(text));
        assertThat(point.texts().get("config.json")).contains("500").doesNotContain("100");
        assertThat(point.texts().get("generation_config.json")).contains("2");
        assertThat(point.texts().get("tokenizer_config.json"))
            .contains(whose == Policies.Template.FINE_TUNED ? "of F" : "of T");
        // From F = 2 to M = 6 + (2 - 1) = 7.
        assertThat(point.tensors().get(WEIGHT).get(0)).isCloseTo(2 + .5f * i, within(1e-6f));
      }
      assertThat(judge.seen().get(0).tensors().get(WEIGHT)).containsExactly(2f);
    }
  }

  @Test
  void theWayBeginsWithTheBitsOfFWhereNoSumWouldGiveThem() throws IOException {
    // M + (F - M) is 0.0 for the first and 0 for the second.
    Path b = new ModelFolder().add(ModelFolder.f32(WEIGHT, 0f, 0f)).write(directory.resolve("b"));
    Path f =
        new ModelFolder().add(ModelFolder.f32(WEIGHT, -0f, 1e-30f)).write(directory.resolve("f"));
    Path t =
        new ModelFolder().add(ModelFolder.f32(WEIGHT, 1f, 1e30f)).write(directory.resolve("t"));
    Observer judge = new Observer();
    measure(judge, TransferRequest.of(b, f, t));
    assertThat(judge.seen().get(0).tensors()).isEqualTo(Map.of(WEIGHT, List.of(-0f, 1e-30f)));
  }

  @Test
  void renamedTensorsGoTheWayThatTheyWentIntoTheResult() throws IOException {
    String other = "model.layers.0.b";
    Path b = model("b", 1);
    Path f = model("f", 2);
    Path t = new ModelFolder().add(ModelFolder.f32(other, 6)).write(directory.resolve("t"));
    Policies policies = Policies.of(Map.of("rename " + other, WEIGHT));
    for (double lambda : new double[] {1, .5}) {
      Observer judge = new Observer();
      TransferRequest request =
          TransferRequest.of(b, f, t).withPolicies(policies).withLambdas(List.of(lambda));
      List<GateReport> measured = new ArrayList<>();
      new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(judge))
          .run(request, directory.resolve("out"), (manifest, report) -> measured.add(report));

      assertThat(gate(measured.get(0), "agreement").passed()).isTrue();
      assertThat(measured.get(0).connectivity()).hasSize(11);
      assertThat(judge.seen()).hasSize(10);
      for (int i = 0; i < 10; i++) {
        // (1 - a) B + a T + lambda (F - B)
        double a = i / 10.;
        Seen point = judge.seen().get(i);
        assertThat(point.tensors()).containsOnlyKeys(other);
        assertThat(point.tensors().get(other).get(0))
            .isCloseTo((float) ((1 - a) * 1 + a * 6 + lambda * (2 - 1)), within(1e-6f));
      }
    }
  }

  @Test
  void aHeadThatOnlyTheTargetStoresIsOnTheWayToo() throws IOException {
    String embeddings = "model.embed_tokens.weight";
    String head = "lm_head.weight";
    Path b =
        new ModelFolder()
            .add(ModelFolder.rows(embeddings, 1, 1, 2, 3, 4))
            .write(directory.resolve("b"));
    Path f =
        new ModelFolder()
            .add(ModelFolder.rows(embeddings, 1, 1.5f, 2, 3, 4))
            .write(directory.resolve("f"));
    Path t =
        new ModelFolder()
            .add(ModelFolder.rows(embeddings, 1, 11, 12, 13, 14))
            .add(ModelFolder.rows(head, 1, 21, 22, 23, 24))
            .write(directory.resolve("t"));
    Observer judge = new Observer();
    measure(
        judge,
        TransferRequest.of(b, f, t).withPolicies(Policies.of(Map.of("tied-head", "embeddings"))));
    assertThat(judge.seen()).hasSize(10);
    for (int i = 0; i < 10; i++) {
      Map<String, List<Float>> tensors = judge.seen().get(i).tensors();
      // From F's embeddings, which are its head, to T's head and the difference of the embeddings.
      assertThat(tensors.get(embeddings).get(0)).isCloseTo(1.5f + i, within(1e-5f));
      assertThat(tensors.get(embeddings).get(3)).isCloseTo(4 + i, within(1e-5f));
      assertThat(tensors.get(head).get(0)).isCloseTo(1.5f + 2 * i, within(1e-5f));
      assertThat(tensors.get(head).get(3)).isCloseTo(4 + 2 * i, within(1e-5f));
    }
  }

  @Test
  void rowsGoTheWayOfTheirTokens() throws IOException {
    String embeddings = "model.embed_tokens.weight";
    Path b =
        new ModelFolder()
            .tokens(List.of("a", "b", "old"))
            .add(ModelFolder.rows(embeddings, 1, 1, 2, 5))
            .write(directory.resolve("b"));
    Path f =
        new ModelFolder()
            .tokens(List.of("a", "b"), List.of("new", "both"))
            .add(ModelFolder.rows(embeddings, 1, 2, 3, 50, 60))
            .write(directory.resolve("f"));
    Path t =
        new ModelFolder()
            .tokens(List.of("b", "own", "a", "both", "old"))
            .add(ModelFolder.rows(embeddings, 1, 12, 70, 11, 80, 90))
            .write(directory.resolve("t"));
    Policies policies = Policies.of(Map.of("vocabulary", "align", "added-tokens", "append"));
    for (double lambda : new double[] {1, .5}) {
      Observer judge = new Observer();
      measure(
          judge,
          TransferRequest.of(b, f, t).withPolicies(policies).withLambdas(List.of(lambda)),
          directory.resolve("merged-" + lambda));
      assertThat(judge.seen()).hasSize(10);
      for (int i = 0; i < 10; i++) {
        List<Float> rows = judge.seen().get(i).tensors().get(embeddings);
        assertThat(rows).hasSize(6);
        assertThat(rows.get(0)).isCloseTo((float) (2 + lambda + i), within(1e-5f));
        assertThat(rows.get(1)).isEqualTo(70); // a token of the target's alone
        assertThat(rows.get(2)).isCloseTo((float) (1 + lambda + i), within(1e-5f));
        assertThat(rows.get(3)).isEqualTo(80); // the base lacks it
        assertThat(rows.get(4)).isEqualTo(90); // fine-tuning dropped it
        assertThat(rows.get(5)).isEqualTo(50); // appended
      }
    }
  }
}
