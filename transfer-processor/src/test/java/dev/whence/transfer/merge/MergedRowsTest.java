package dev.whence.transfer.merge;

import static dev.whence.transfer.merge.SmallMerge.bytes;
import static dev.whence.transfer.merge.SmallMerge.mask;
import static dev.whence.transfer.merge.SmallMerge.random;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntBinaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Embeddings and heads: rows that go together by token, and what is said of their number. */
class MergedRowsTest {
  private static final Policies ALIGNED =
      new Policies(
          Policies.Missing.FAIL,
          Policies.Shapes.FAIL,
          Policies.TiedHead.FAIL,
          Policies.Vocabularies.ALIGN,
          Policies.AddedTokens.APPEND,
          Policies.NonFinite.FAIL,
          Policies.Template.FINE_TUNED,
          Map.of());
  private static final int WIDTH = 9;
  private static final int ADDED = 4_000; // tokens from here on are added to a tokenizer's model

  @TempDir Path directory;
  SmallMerge merge;

  /** How merges run here. */
  MergeOptions options() {
    return MergeOptions.defaults();
  }

  @BeforeEach
  void place() {
    merge = new SmallMerge(directory, options());
  }

  /** A model of some tokens in an order of its own: runs of one to nine that are neighbours. */
  private static List<Integer> shuffled(int from, int to, long seed) {
    Random random = new Random(seed);
    List<List<Integer>> runs = new ArrayList<>();
    for (int token = from; token < to; ) {
      List<Integer> run = new ArrayList<>();
      for (int end = Math.min(to, token + 1 + random.nextInt(9)); token < end; token++) {
        run.add(token);
      }
      runs.add(run);
    }
    Collections.shuffle(runs, random);
    List<Integer> tokens = new ArrayList<>();
    runs.forEach(tokens::addAll);
    return tokens;
  }

  private static ModelFolder vocabulary(
      List<Integer> tokens, IntBinaryOperator value, byte[] before) {
    ByteBuffer rows = ByteBuffer.allocate(tokens.size() * WIDTH * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (int token : tokens) {
      for (int column = 0; column < WIDTH; column++) {
        rows.putFloat(value.applyAsInt(token, column));
      }
    }
    return new ModelFolder()
        .tokens(
            tokens.stream().filter(token -> token < ADDED).map(token -> "t" + token).toList(),
            tokens.stream().filter(token -> token >= ADDED).map(token -> "t" + token).toList())
        .add(mask(before))
        .add(
            new ModelFolder.Raw(
                "model.embed_tokens.weight",
                "F32",
                List.of((long) tokens.size(), (long) WIDTH),
                rows.array()));
  }

  @Test
  void thousandsOfRowsInAnyOrderAtAnOddPlaceGoTogetherByToken() throws IOException {
    // Whole numbers, so that sums are exact: t, t + (f - b), f for the target's own, the common and
    // the added tokens. The smallest piece holds 1,820 rows.
    IntBinaryOperator ofBase = (token, column) -> 10 * token + column;
    IntBinaryOperator ofFineTuned = (token, column) -> 11 * token + 3 * column;
    IntBinaryOperator ofTarget = (token, column) -> 70_000 - 5 * token + column;
    byte[] before = random(4_099, 5);
    List<Integer> own = shuffled(300, 3_300, 3);
    List<Integer> tuned = shuffled(0, 3_000, 2);
    tuned.addAll(shuffled(ADDED, ADDED + 70, 4));
    TransferRequest request =
        TransferRequest.of(
                vocabulary(shuffled(0, 3_000, 1), ofBase, before).write(directory.resolve("b")),
                vocabulary(tuned, ofFineTuned, before).write(directory.resolve("f")),
                vocabulary(own, ofTarget, before).write(directory.resolve("t")))
            .withPolicies(ALIGNED);
    merge.run(request, options().withMemoryBytes(1));

    List<Float> expected = new ArrayList<>();
    for (int token : own) {
      for (int column = 0; column < WIDTH; column++) {
        int value = ofTarget.applyAsInt(token, column);
        if (token < 3_000) {
          value += ofFineTuned.applyAsInt(token, column) - ofBase.applyAsInt(token, column);
        }
        expected.add((float) value);
      }
    }
    for (int token : tuned.subList(3_000, 3_070)) {
      for (int column = 0; column < WIDTH; column++) {
        expected.add((float) ofFineTuned.applyAsInt(token, column));
      }
    }
    assertThat(ModelFolder.floats(merge.output, "model.embed_tokens.weight")).isEqualTo(expected);
    assertThat(bytes(merge.output, "mask")).isEqualTo(before);
  }

  @Test
  void rowsGoTogetherByTokenAndAddedTokensAreAppended() throws IOException {
    Path b =
        new ModelFolder()
            .tokens(List.of("a", "b", "c"))
            .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1, 2, 3))
            .write(directory.resolve("b"));
    Path f =
        new ModelFolder()
            .tokens(List.of("a", "b", "c"), List.of("<end>"))
            .text("generation_config.json", "{\"eos_token_id\": [3, 1]}")
            .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1.5f, 2.25f, 3, 42))
            .write(directory.resolve("f"));
    Path t =
        new ModelFolder()
            .tokens(List.of("x", "c", "b", "a"))
            .add(ModelFolder.rows("model.embed_tokens.weight", 2, 10, 20, 30, 40))
            .write(directory.resolve("t"));
    Published published = merge.run(TransferRequest.of(b, f, t).withPolicies(ALIGNED));

    assertThat(ModelFolder.floats(merge.output, "model.embed_tokens.weight"))
        .containsExactly(10f, 10f, 20f, 20f, 30.25f, 30.25f, 40.5f, 40.5f, 42f, 42f);
    assertThat(merge.json("config.json").path("vocab_size").asInt()).isEqualTo(5);
    assertThat(merge.json("generation_config.json").path("eos_token_id").toString())
        .isEqualTo("[4,2]");
    assertThat(merge.json("tokenizer.json").path("added_tokens").path(0).path("content").asText())
        .isEqualTo("<end>");
    assertThat(merge.json("tokenizer.json").path("added_tokens").path(0).path("id").asInt())
        .isEqualTo(4);
    assertThat(published.models().get(0).manifest().tensors().get("model.embed_tokens.weight"))
        .extracting(Manifest.Tensor::policy)
        .isEqualTo("merge rows by token: 3 merged, 1 the target's, 1 appended");
  }

  @Test
  void entriesOfAnotherTokenizerModelAreNotAppended() throws IOException {
    Path b = oneValueRows(1, 2).tokens(List.of("a", "b")).write(directory.resolve("b"));
    Path f =
        oneValueRows(1, 2, 3, 4, 5)
            .tokens(List.of("a", "b", "word", "other"), List.of("<end>"))
            .write(directory.resolve("f"));
    Path t = oneValueRows(1, 2).tokens(List.of("b", "a")).write(directory.resolve("t"));
    assertThatThrownBy(() -> merge.run(TransferRequest.of(b, f, t).withPolicies(ALIGNED)))
        .hasMessageContaining("2 tokens that neither base nor target have")
        .hasMessageContaining("'word', id 2")
        .hasMessageContaining("another tokenizer model");
  }

  @Test
  void theNumberOfRowsIsSaidWhereTheConfigSaysItAndNowhereElse() throws IOException {
    Path b = oneValueRows(1, 2).tokens(List.of("a", "b")).write(directory.resolve("b"));
    Path f =
        oneValueRows(1, 2, 3)
            .tokens(List.of("a", "b"), List.of("<end>"))
            .write(directory.resolve("f"));
    ModelFolder t = oneValueRows(1, 2).tokens(List.of("b", "a"));
    TransferRequest request =
        TransferRequest.of(
                b,
                f,
                t.text("config.json", "{\"text_config\": {\"vocab_size\": 2, \"a\": 1}}")
                    .write(directory.resolve("t")))
            .withPolicies(ALIGNED);
    merge.run(request);
    assertThat(merge.json("config.json").path("text_config").toString())
        .isEqualTo("{\"vocab_size\":3,\"a\":1}");
    assertThat(merge.json("config.json").has("vocab_size")).isFalse();

    t.text("config.json", "{\"hidden_size\": 1}").write(directory.resolve("t"));
    assertThatThrownBy(() -> TransferPlan.of(request).close())
        .hasMessageContaining("has no vocab_size")
        .hasMessageContaining("get 3 rows");
  }

  @Test
  void aSpecialTokenThatTheResultDoesNotHaveIsRefused() throws IOException {
    Path b = oneValueRows(1, 2).tokens(List.of("a", "b")).write(directory.resolve("b"));
    Path f =
        oneValueRows(1, 2, 3)
            .tokens(List.of("a", "b"), List.of("<end>"))
            .text("config.json", "{\"vocab_size\": 3}")
            .text("tokenizer_config.json", "{\"eos_token\": \"<end>\", \"pad_token\": \"a\"}")
            .text("special_tokens_map.json", "{\"pad_token\": {\"content\": \"<end>\"}}")
            .write(directory.resolve("f"));
    Path t = oneValueRows(1, 2).tokens(List.of("b", "a")).write(directory.resolve("t"));
    Map<String, String> policies = new TreeMap<>(ALIGNED.named());
    policies.put("added-tokens", "drop");
    TransferRequest request = TransferRequest.of(b, f, t);
    assertThatThrownBy(() -> merge.run(request.withPolicies(Policies.of(policies))))
        .isInstanceOfSatisfying(
            TransferException.class,
            refused ->
                assertThat(refused.reasons())
                    .hasSize(2)
                    .anySatisfy(
                        reason ->
                            assertThat(reason)
                                .contains("tokenizer_config.json, eos_token: '<end>' is no token")
                                .endsWith("or append the fine-tuned model's added tokens"))
                    .anySatisfy(
                        reason ->
                            assertThat(reason)
                                .contains("special_tokens_map.json, pad_token: '<end>'")));
    policies.put("template", "target");
    merge.run(request.withPolicies(Policies.of(policies)));
    assertThat(merge.output.resolve("tokenizer_config.json")).doesNotExist();
  }

  private static ModelFolder oneValueRows(float... values) {
    return new ModelFolder().add(ModelFolder.rows("model.embed_tokens.weight", 1, values));
  }

  @Test
  void aStoredHeadTakesTheDiffOfTheEmbeddingsItWasTiedToIfThePolicySaysSo() throws IOException {
    TransferRequest request = ofTiedHeads();
    assertThatThrownBy(() -> merge.run(request))
        .hasMessageContaining("lm_head.weight")
        .hasMessageContaining("tied-head embeddings");
    Policies p = Policies.STRICT;
    merge.run(
        request.withPolicies(
            new Policies(
                p.missing(),
                p.shapes(),
                Policies.TiedHead.EMBEDDINGS,
                p.vocabulary(),
                p.addedTokens(),
                p.nonFinite(),
                p.template(),
                Map.of())));
    assertThat(ModelFolder.floats(merge.output, "lm_head.weight")).containsOnly(9f);
    assertThat(ModelFolder.floats(merge.output, "model.embed_tokens.weight")).containsOnly(7f);
  }

  /** Of a tied base and a tied fine-tune to a target that stores its head. */
  private TransferRequest ofTiedHeads() throws IOException {
    return TransferRequest.of(
        tied(1).write(directory.resolve("b")),
        tied(3).write(directory.resolve("f")),
        tied(5)
            .add(ModelFolder.rows("lm_head.weight", 2, 7, 7, 7, 7))
            .write(directory.resolve("t")));
  }

  private static ModelFolder tied(float value) {
    return new ModelFolder()
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, value, value, value, value));
  }

  @Test
  void theEndIsToldOnceAndLastThoughEmbeddingsAreReadForTheHeadAsWell() throws IOException {
    TransferRequest request = ofTiedHeads();
    Policies policies = Policies.of(Map.of("tied-head", "embeddings"));
    List<Boolean> isEnd = Collections.synchronizedList(new ArrayList<>());
    try (TransferPlan plan = TransferPlan.of(request.withPolicies(policies))) {
      MergeRun.run(
          plan,
          merge.output,
          options().withMemoryBytes(1),
          (moved, total) -> isEnd.add(moved == total));
    }
    assertThat(isEnd).hasSizeGreaterThan(1).endsWith(true);
    assertThat(isEnd.subList(0, isEnd.size() - 1)).containsOnly(false);
  }
}
