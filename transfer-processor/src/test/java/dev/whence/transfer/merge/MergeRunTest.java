package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.samples.BundledModels;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntBinaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MergeRunTest {
  static final String ONE = "model-00001-of-00002.safetensors";
  static final String TWO = "model-00002-of-00002.safetensors";

  @TempDir Path directory;
  Path base;
  Path fineTuned;
  Path target;
  Path output;

  /** How merges run here. */
  MergeOptions options() {
    return MergeOptions.defaults();
  }

  @BeforeEach
  void models() throws IOException {
    base = folder(1, 2, 3).write(directory.resolve("base"));
    fineTuned = folder(4, 5, 6).write(directory.resolve("fine-tuned"));
    target = folder(7, 8, 9).write(directory.resolve("target"));
    output = directory.resolve("merged");
  }

  private static ModelFolder folder(long first, long second, long third) {
    return new ModelFolder()
        .random(ONE, "model.embed_tokens.weight", ElementType.BF16, first, 4L, 700L)
        .random(ONE, "model.layers.0.a.weight", ElementType.BF16, second, 300L, 2000L)
        .random(TWO, "model.norm.weight", ElementType.F32, third, 700L)
        .add(TWO, new ModelFolder.Raw("steps", "I64", List.of(1L), random(8, 1)));
  }

  /** Bytes that no other seed gives: zeros would be right wherever nothing was written. */
  static byte[] random(int bytes, long seed) {
    byte[] random = new byte[bytes];
    new Random(seed).nextBytes(random);
    return random;
  }

  Published run(TransferRequest request) {
    return run(request, options());
  }

  Published run(TransferRequest request, MergeOptions options) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      return MergeRun.run(plan, output, options, MergeProgress.NONE);
    }
  }

  TransferRequest request() {
    return TransferRequest.of(base, fineTuned, target);
  }

  @Test
  void onItsOwnBaseTheDiffGivesTheFineTunedModelFileByFile() throws IOException {
    run(TransferRequest.of(base, fineTuned, base));

    assertThat(ModelFolder.contents(output))
        .containsEntry(ONE, ModelFolder.contents(fineTuned).get(ONE))
        .containsEntry(TWO, ModelFolder.contents(fineTuned).get(TWO));
    assertNoTraces();
  }

  @Test
  void linksThatLieWhereAResultGrowsAreRefusedAndLeadNowhere() throws IOException {
    Path somebodys = Files.writeString(directory.resolve("somebody's"), "theirs");
    Path lock =
        Files.createSymbolicLink(directory.resolve(".merged.whence-transfer.lock"), somebodys);
    assertThatThrownBy(() -> run(request()))
        .isInstanceOf(TransferException.class)
        .hasMessage(
            "the transfer to "
                + output
                + " failed ('"
                + directory.toRealPath().resolve(lock.getFileName())
                + "': it is a link, which is not followed here)");
    assertThat(somebodys).hasContent("theirs");
    Files.delete(lock);

    Path theirs = Files.createDirectory(directory.resolve("their-directory"));
    Path staging = Files.createSymbolicLink(directory.resolve(".merged.whence-transfer"), theirs);
    assertThatThrownBy(() -> run(request()))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining(staging + " is a link");
    assertThat(theirs).isEmptyDirectory();
    assertThat(output).doesNotExist();
  }

  @Test
  void theManifestNamesTheModelsByTheDigestsThatReleasesHave() throws IOException {
    Path chat = BundledModels.unpack(BundledModels.CHAT);
    Path before = BundledModels.unpack("base-v1");
    Path after = BundledModels.unpack("base-v2");
    Published published = run(TransferRequest.of(before, chat, after));

    Manifest manifest = published.models().get(0).manifest();
    assertThat(manifest.digest()).isEqualTo(digest(output));
    assertThat(manifest.ancestors().get("base").digest()).isEqualTo(digest(before));
    assertThat(manifest.ancestors().get("fine-tuned").digest()).isEqualTo(digest(chat));
    assertThat(manifest.ancestors().get("target").digest()).isEqualTo(digest(after));
    assertThat(Manifest.read(output)).contains(manifest);
  }

  private static String digest(Path directory) {
    try (ModelFiles files = ModelFiles.open(directory)) {
      return files.digest();
    }
  }

  @Test
  void severalLambdasInOnePassAreTheSameAsOneByOne() throws IOException {
    run(request().withLambdas(List.of(.25, .7, 1.)));
    Path all = output;
    for (double lambda : List.of(.25, .7, 1.)) {
      output = directory.resolve("alone-" + lambda);
      run(request().withLambdas(List.of(lambda)));
      assertThat(ModelFolder.contents(all.resolve("lambda-" + lambda)).get(ONE))
          .isEqualTo(ModelFolder.contents(output).get(ONE));
    }
  }

  @Test
  void smallBuffersAndOneThreadGiveTheSameBytes() throws IOException {
    run(request());
    Map<String, String> first = ModelFolder.contents(output);
    output = directory.resolve("again");
    run(request(), options().withWorkers(1).withMemoryBytes(1));
    assertThat(ModelFolder.contents(output)).isEqualTo(first);
  }

  @Test
  void aTargetInOneFileTakesTheDiffOfShardedModels() throws IOException {
    Path single =
        new ModelFolder()
            .add(ModelFolder.random("model.norm.weight", ElementType.F16, 9, 700L))
            .add(ModelFolder.random("model.embed_tokens.weight", ElementType.F32, 7, 4L, 700L))
            .add(ModelFolder.random("model.layers.0.a.weight", ElementType.BF16, 8, 300L, 2000L))
            .add(
                new ModelFolder.Raw(
                    "steps", "I64", List.of(1L), new byte[] {1, 0, 0, 0, 0, 0, 0, 0}))
            .write(directory.resolve("single"));
    run(TransferRequest.of(base, fineTuned, single));
    try (SourceModel merged = SourceModel.open(Role.TARGET, output, Optional.empty())) {
      assertThat(merged.indexed()).isFalse();
      assertThat(merged.tensors().get("model.norm.weight").dtype()).isEqualTo("F16");
      assertThat(merged.tensors().get("model.embed_tokens.weight").dtype()).isEqualTo("F32");
    }
  }

  @Test
  void whatIsKeptIsTheTargetsByteByByteInPiecesToo() throws IOException {
    // More than three of the smallest pieces, none of which begins or ends where a block does.
    int bytes = 3 * (1 << 16) + 4_567;
    byte[] targets = random(bytes, 3);
    folder(1, 2, 3).add(TWO, mask(random(bytes, 2))).write(base);
    folder(4, 5, 6).add(TWO, mask(random(bytes, 2))).write(fineTuned);
    folder(7, 8, 9).add(TWO, mask(targets)).write(target);
    run(request(), options().withMemoryBytes(1));
    assertThat(bytes(output, "mask")).isEqualTo(targets);
    assertThat(bytes(output, "steps")).isEqualTo(random(8, 1));
  }

  private static ModelFolder.Raw mask(byte[] bytes) {
    return new ModelFolder.Raw("mask", "U8", List.of((long) bytes.length), bytes);
  }

  static byte[] bytes(Path model, String tensor) {
    try (SourceModel files = SourceModel.open(Role.TARGET, model, Optional.empty())) {
      SourceModel.Tensor found = files.tensors().get(tensor);
      ByteBuffer bytes = ByteBuffer.allocate((int) found.entry().byteLength());
      found.read(0, bytes);
      return bytes.array();
    }
  }

  @Test
  void whatIsNoFloatingPointNumberIsTheTargetsAndMustNotHaveBeenTuned() throws IOException {
    folder(4, 5, 6)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 3}))
        .write(fineTuned);
    folder(1, 2, 3)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 4}))
        .write(base);
    folder(7, 8, 9)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 4}))
        .write(target);
    assertThatThrownBy(() -> run(request()))
        .hasMessageContaining("'mask'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("only floating point differences");
    assertNoTraces();
  }

  @Test
  void endsOfAnswersAndTemplateAreTheFineTunedModelsTheRestIsTheTargets() throws IOException {
    folder(4, 5, 6)
        .text(
            "config.json",
            "{\"vocab_size\": 4, \"eos_token_id\": [2, 3], \"rope_scaling\": {\"factor\": 8}}")
        .text("generation_config.json", "{\"eos_token_id\": 2, \"temperature\": 0.5}")
        .text(
            "tokenizer_config.json",
            "{\"chat_template\": \"theirs\", \"eos_token\": \"c\", \"model_max_length\": 1}")
        .write(fineTuned);
    folder(7, 8, 9)
        .text("config.json", "{\"vocab_size\": 4, \"eos_token_id\": 0, \"rope_theta\": 5}")
        .text(
            "tokenizer_config.json",
            "{\"chat_template\": \"ours\", \"eos_token\": \"a\", \"model_max_length\": 99}")
        .write(target);
    run(request());

    JsonNode config = json("config.json");
    assertThat(config.path("eos_token_id").toString()).isEqualTo("[2,3]");
    assertThat(config.has("rope_scaling")).isFalse();
    assertThat(config.path("rope_theta").asInt()).isEqualTo(5);
    assertThat(json("generation_config.json").path("eos_token_id").asInt()).isEqualTo(2);
    JsonNode tokenizer = json("tokenizer_config.json");
    assertThat(tokenizer.path("chat_template").asText()).isEqualTo("theirs");
    assertThat(tokenizer.path("eos_token").asText()).isEqualTo("c");
    assertThat(tokenizer.path("model_max_length").asInt()).isEqualTo(99);
  }

  @Test
  void aBufferThatStandsInTwoShardsOfTheTargetIsInTheFirstOneOfTheResult() throws IOException {
    String buffer = "model.layers.0.rotary_emb.inv_freq";
    String one = "model-00001-of-00002.safetensors";
    String two = "model-00002-of-00002.safetensors";
    Path b = twoVectors(1, 2).write(directory.resolve("b"));
    Path f = twoVectors(2, 4).write(directory.resolve("f"));
    Path t =
        new ModelFolder()
            .add(one, ModelFolder.f32("a", 10))
            .add(one, ModelFolder.f32(buffer, 5, 6, 7))
            .add(two, ModelFolder.f32(buffer, 8, 9, 10))
            .add(two, ModelFolder.f32("c", 20))
            .write(directory.resolve("t"));
    Files.writeString(
        t.resolve(SafetensorsShards.INDEX),
        String.format(
            "{\"weight_map\": {\"%s\": \"%s\", \"a\": \"%s\", \"c\": \"%s\"}}",
            buffer, two, one, two));
    run(TransferRequest.of(b, f, t));

    assertThat(ModelFolder.floats(output, "a")).containsExactly(11f);
    assertThat(ModelFolder.floats(output, "c")).containsExactly(22f);
    assertThat(ModelFolder.floats(output, buffer)).containsExactly(5f, 6f, 7f);
    assertThat(json(SafetensorsShards.INDEX).path("weight_map").path(buffer).asText())
        .isEqualTo(one);
    try (SafetensorsShards written = SafetensorsShards.open(output)) {
      assertThat(written.shards().get(1).file().entries()).containsOnlyKeys("c");
    }
  }

  private static ModelFolder twoVectors(float a, float c) {
    return new ModelFolder().add(ModelFolder.f32("a", a)).add(ModelFolder.f32("c", c));
  }

  private JsonNode json(String file) throws IOException {
    return new ObjectMapper().readTree(output.resolve(file).toFile());
  }

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

  private static final int WIDTH = 9;
  private static final int ADDED = 4_000; // tokens from here on are added to a tokenizer's model

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
    run(request, options().withMemoryBytes(1));

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
    assertThat(ModelFolder.floats(output, "model.embed_tokens.weight")).isEqualTo(expected);
    assertThat(bytes(output, "mask")).isEqualTo(before);
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
    Published published = run(TransferRequest.of(b, f, t).withPolicies(ALIGNED));

    assertThat(ModelFolder.floats(output, "model.embed_tokens.weight"))
        .containsExactly(10f, 10f, 20f, 20f, 30.25f, 30.25f, 40.5f, 40.5f, 42f, 42f);
    assertThat(json("config.json").path("vocab_size").asInt()).isEqualTo(5);
    assertThat(json("generation_config.json").path("eos_token_id").toString()).isEqualTo("[4,2]");
    assertThat(json("tokenizer.json").path("added_tokens").path(0).path("content").asText())
        .isEqualTo("<end>");
    assertThat(json("tokenizer.json").path("added_tokens").path(0).path("id").asInt()).isEqualTo(4);
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
    assertThatThrownBy(() -> run(TransferRequest.of(b, f, t).withPolicies(ALIGNED)))
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
    run(request);
    assertThat(json("config.json").path("text_config").toString())
        .isEqualTo("{\"vocab_size\":3,\"a\":1}");
    assertThat(json("config.json").has("vocab_size")).isFalse();

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
    assertThatThrownBy(() -> run(request.withPolicies(Policies.of(policies))))
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
    run(request.withPolicies(Policies.of(policies)));
    assertThat(output.resolve("tokenizer_config.json")).doesNotExist();
  }

  private static ModelFolder oneValueRows(float... values) {
    return new ModelFolder().add(ModelFolder.rows("model.embed_tokens.weight", 1, values));
  }

  @Test
  void aStoredHeadTakesTheDiffOfTheEmbeddingsItWasTiedToIfThePolicySaysSo() throws IOException {
    TransferRequest request = ofTiedHeads();
    assertThatThrownBy(() -> run(request))
        .hasMessageContaining("lm_head.weight")
        .hasMessageContaining("tied-head embeddings");
    Policies p = Policies.STRICT;
    run(
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
    assertThat(ModelFolder.floats(output, "lm_head.weight")).containsOnly(9f);
    assertThat(ModelFolder.floats(output, "model.embed_tokens.weight")).containsOnly(7f);
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
          plan, output, options().withMemoryBytes(1), (moved, total) -> isEnd.add(moved == total));
    }
    assertThat(isEnd).hasSizeGreaterThan(1).endsWith(true);
    assertThat(isEnd.subList(0, isEnd.size() - 1)).containsOnly(false);
  }

  @Test
  void whatIsMergedStaysIfOnlyTheLastRenameFails() throws IOException {
    Path other = Files.createDirectory(output).resolve("of-somebody-else");
    try (TransferPlan plan = TransferPlan.of(request())) {
      MergeProgress putting =
          (moved, total) -> {
            try {
              Files.write(other, new byte[1]);
            } catch (IOException e) {
              throw new IllegalStateException(e);
            }
          };
      assertThatThrownBy(() -> MergeRun.run(plan, output, options(), putting))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("could not be published")
          .hasMessageContaining("what is merged stays");
      Files.delete(other);
      assertThat(Journal.noted(Staging.journal(Staging.directory(output)), plan.id()).orElseThrow())
          .containsAll(
              plan.shards().stream()
                  .flatMap(shard -> shard.tensors().stream())
                  .map(TensorPlan::name)
                  .toList());
      assertThat(MergeRun.run(plan, output, options(), MergeProgress.NONE).before()).isFalse();
    }
    assertThat(Verification.of(output)).isEmpty();
    assertNoTraces();
  }

  @Test
  void theSameTransferAgainIsASuccessThatWritesNothing() throws IOException {
    Published first = run(request());
    Map<Path, FileTime> times = Map.of(output, Files.getLastModifiedTime(output));
    Published again = run(request());

    assertThat(again.before()).isTrue();
    assertThat(again.models()).isEqualTo(first.models());
    assertThat(Files.getLastModifiedTime(output)).isEqualTo(times.get(output));
    assertNoTraces();
  }

  @Test
  void whatARunLeftThatWasKilledRightAfterPublishingIsClearedAway() throws IOException {
    run(request());
    Path left = Files.createDirectories(directory.resolve(".merged.whence-transfer/result"));
    Files.writeString(left.resolve("rest"), "");
    assertThat(run(request()).before()).isTrue();
    assertNoTraces();
  }

  @Test
  void anOutputThatHoldsSomethingElseIsNeverTouched() throws IOException {
    run(request());
    Map<String, String> before = ModelFolder.contents(output);
    assertThatThrownBy(() -> run(request().withLambdas(List.of(.5))))
        .hasMessageContaining("exists and is not the result of this transfer");
    assertThat(ModelFolder.contents(output)).isEqualTo(before);
  }

  @Test
  void aSecondWriterIsTurnedAway() throws IOException {
    try (Staging held = Staging.lock(output)) {
      assertThat(Staging.directory(held.output())).doesNotExist();
      assertThatThrownBy(() -> run(request())).hasMessageContaining("is running");
    }
    run(request());
    assertNoTraces();
  }

  @Test
  void aStoppedRunGoesOnWhereItWasAndGivesTheSameBytes() throws IOException {
    run(request());
    Map<String, String> expected = ModelFolder.contents(output);
    output = directory.resolve("stopped");
    AtomicInteger asked = new AtomicInteger();
    assertThatThrownBy(
            () ->
                run(
                    request(),
                    options()
                        .withWorkers(1)
                        .withMemoryBytes(1)
                        .withStop(() -> asked.incrementAndGet() > 20)))
        .isInstanceOf(StoppedException.class);
    assertThat(output).doesNotExist();
    run(RequestFile.find(output).orElseThrow());
    assertThat(ModelFolder.contents(output)).isEqualTo(expected);
    assertNoTraces();
  }

  @Test
  void aResumedRunCanBeStoppedWhileItVerifiesWhatIsThere() throws IOException {
    MergeOptions small = options().withWorkers(1).withMemoryBytes(1);
    Path journal = directory.resolve(".merged.whence-transfer/journal");
    // The largest tensor is first: it is in the journal, after the line that names the plan.
    assertThatThrownBy(
            () -> run(request(), small.withForceBytes(1).withStop(() -> lines(journal) > 1)))
        .isInstanceOf(StoppedException.class);
    assertThat(lines(journal)).isEqualTo(2);
    // It has 19 pieces; all others together have three.
    AtomicInteger asked = new AtomicInteger();
    assertThatThrownBy(() -> run(request(), small.withStop(() -> asked.incrementAndGet() == 15)))
        .isInstanceOf(StoppedException.class);
    assertThat(lines(journal)).isEqualTo(2);
    run(request());
    assertNoTraces();
  }

  @Test
  void aResumedRunThatMayOpenNoMoreFilesKeepsWhatWasDone() throws IOException {
    MergeOptions small = options().withWorkers(1).withMemoryBytes(1).withForceBytes(1);
    Path journal = directory.resolve(".merged.whence-transfer/journal");
    assertThatThrownBy(() -> run(request(), small.withStop(() -> lines(journal) > 1)))
        .isInstanceOf(StoppedException.class);
    MergeOptions few =
        options()
            .withOpener(
                (file, options) -> {
                  throw new FileSystemException(file.toString(), null, "Too many open files");
                });
    assertThatThrownBy(() -> run(request(), few)).hasMessageContaining("Too many open files");
    assertThat(lines(journal)).isEqualTo(2);
    run(request());
    assertNoTraces();
  }

  private static int lines(Path file) {
    try {
      return Files.readAllLines(file).size();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aFullDiskFailsWithTensorAndByteAndLeavesNothing() throws IOException {
    AtomicLong room = new AtomicLong(400_000);
    MergeOptions small =
        options()
            .withWorkers(1)
            .withMemoryBytes(1)
            .withOpener((file, options) -> new FullChannel(FileChannel.open(file, options), room));
    assertThatThrownBy(() -> run(request(), small))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("'model.layers.0.a.weight'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("No space left on device");
    assertNoTraces();
    assertThat(output).doesNotExist();
  }

  @Test
  void aShardThatIsChangedMeanwhileFailsWithTensorAndByte() throws IOException {
    AtomicInteger asked = new AtomicInteger();
    Path shard = fineTuned.resolve(ONE);
    MergeOptions options =
        options()
            .withWorkers(1)
            .withMemoryBytes(1)
            .withStop(
                () -> {
                  if (asked.incrementAndGet() == 10) {
                    touch(shard);
                  }
                  return false;
                });
    assertThatThrownBy(() -> run(request(), options))
        .hasMessageContaining("'model.layers.0.a.weight'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("changed while it was read");
    assertNoTraces();
  }

  @Test
  void anInputThatVanishesOrIsCutFailsWithTensorAndByte() throws IOException {
    for (boolean vanishes : new boolean[] {true, false}) {
      models();
      AtomicInteger asked = new AtomicInteger();
      Path shard = base.resolve(ONE);
      MergeOptions options =
          options()
              .withWorkers(1)
              .withMemoryBytes(1)
              .withStop(
                  () -> {
                    if (asked.incrementAndGet() == 10) {
                      if (vanishes) {
                        remove(shard);
                      } else {
                        cut(shard);
                      }
                    }
                    return false;
                  });
      assertThatThrownBy(() -> run(request(), options))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("'model.layers.0.a.weight'")
          .hasMessageContaining("byte ")
          .hasMessageContaining(vanishes ? "vanished" : "c");
      assertNoTraces();
      assertThat(output).doesNotExist();
    }
  }

  private static void touch(Path file) {
    try {
      Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000_000_000L));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void remove(Path file) {
    try {
      Files.delete(file);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void cut(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(100_000);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aReleaseThatIsNotWhatItsDigestSaysIsNotPublished() throws IOException {
    TransferRequest request = request();
    TransferRequest.Input wrong = new TransferRequest.Input(fineTuned, Optional.of("00ff"));
    assertThatThrownBy(
            () ->
                run(
                    new TransferRequest(
                        request.base(), wrong, request.target(), List.of(1.), Policies.STRICT)))
        .hasMessageContaining("its release says 00ff");
    assertThat(output).doesNotExist();
    assertNoTraces();
  }

  void assertNoTraces() throws IOException {
    try (var files = Files.list(directory)) {
      assertThat(files.filter(file -> file.getFileName().toString().startsWith("."))).isEmpty();
    }
  }
}
