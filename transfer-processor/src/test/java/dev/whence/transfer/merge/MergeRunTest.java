package dev.whence.transfer.merge;

import static dev.whence.transfer.merge.SmallMerge.ONE;
import static dev.whence.transfer.merge.SmallMerge.TWO;
import static dev.whence.transfer.merge.SmallMerge.bytes;
import static dev.whence.transfer.merge.SmallMerge.folder;
import static dev.whence.transfer.merge.SmallMerge.mask;
import static dev.whence.transfer.merge.SmallMerge.random;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.engine.weights.TokenizerSettings;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a merge writes: tensors, configuration and manifest. */
class MergeRunTest {
  @TempDir Path directory;
  SmallMerge merge;

  /** How merges run here. */
  MergeOptions options() {
    return MergeOptions.defaults();
  }

  @BeforeEach
  void models() throws IOException {
    merge = new SmallMerge(directory, options());
    merge.write();
  }

  @Test
  void onItsOwnBaseTheDiffGivesTheFineTunedModelFileByFile() throws IOException {
    merge.run(TransferRequest.of(merge.base, merge.fineTuned, merge.base));

    assertThat(ModelFolder.contents(merge.output))
        .containsEntry(ONE, ModelFolder.contents(merge.fineTuned).get(ONE))
        .containsEntry(TWO, ModelFolder.contents(merge.fineTuned).get(TWO));
    merge.assertNoTraces();
  }

  @Test
  void theManifestNamesTheModelsByTheDigestsThatReleasesHave() throws IOException {
    Path chat = BundledModels.unpack(BundledModels.CHAT);
    Path before = BundledModels.unpack("base-v1");
    Path after = BundledModels.unpack("base-v2");
    Published published = merge.run(TransferRequest.of(before, chat, after));

    Manifest manifest = published.models().get(0).manifest();
    assertThat(manifest.digest()).isEqualTo(digest(merge.output));
    assertThat(manifest.ancestors().get("base").digest()).isEqualTo(digest(before));
    assertThat(manifest.ancestors().get("fine-tuned").digest()).isEqualTo(digest(chat));
    assertThat(manifest.ancestors().get("target").digest()).isEqualTo(digest(after));
    assertThat(Manifest.read(merge.output)).contains(manifest);
  }

  private static String digest(Path directory) {
    try (ModelFiles files = ModelFiles.open(directory)) {
      return files.digest();
    }
  }

  @Test
  void severalLambdasInOnePassAreTheSameAsOneByOne() throws IOException {
    merge.run(merge.request().withLambdas(List.of(.25, .7, 1.)));
    Path all = merge.output;
    for (double lambda : List.of(.25, .7, 1.)) {
      merge.output = directory.resolve("alone-" + lambda);
      merge.run(merge.request().withLambdas(List.of(lambda)));
      assertThat(ModelFolder.contents(all.resolve("lambda-" + lambda)).get(ONE))
          .isEqualTo(ModelFolder.contents(merge.output).get(ONE));
    }
  }

  @Test
  void smallBuffersAndOneThreadGiveTheSameBytes() throws IOException {
    merge.run(merge.request());
    Map<String, String> first = ModelFolder.contents(merge.output);
    merge.output = directory.resolve("again");
    merge.run(merge.request(), options().withWorkers(1).withMemoryBytes(1));
    assertThat(ModelFolder.contents(merge.output)).isEqualTo(first);
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
    merge.run(TransferRequest.of(merge.base, merge.fineTuned, single));
    try (SourceModel merged = SourceModel.open(Role.TARGET, merge.output, Optional.empty())) {
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
    folder(1, 2, 3).add(TWO, mask(random(bytes, 2))).write(merge.base);
    folder(4, 5, 6).add(TWO, mask(random(bytes, 2))).write(merge.fineTuned);
    folder(7, 8, 9).add(TWO, mask(targets)).write(merge.target);
    merge.run(merge.request(), options().withMemoryBytes(1));
    assertThat(bytes(merge.output, "mask")).isEqualTo(targets);
    assertThat(bytes(merge.output, "steps")).isEqualTo(random(8, 1));
  }

  @Test
  void whatIsNoFloatingPointNumberIsTheTargetsAndMustNotHaveBeenTuned() throws IOException {
    folder(4, 5, 6)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 3}))
        .write(merge.fineTuned);
    folder(1, 2, 3)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 4}))
        .write(merge.base);
    folder(7, 8, 9)
        .add(TWO, new ModelFolder.Raw("mask", "U8", List.of(3L), new byte[] {1, 2, 4}))
        .write(merge.target);
    assertThatThrownBy(() -> merge.run(merge.request()))
        .hasMessageContaining("'mask'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("only floating point differences");
    merge.assertNoTraces();
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
        .write(merge.fineTuned);
    folder(7, 8, 9)
        .text("config.json", "{\"vocab_size\": 4, \"eos_token_id\": 0, \"rope_theta\": 5}")
        .text(
            "tokenizer_config.json",
            "{\"chat_template\": \"ours\", \"eos_token\": \"a\", \"model_max_length\": 99}")
        .write(merge.target);
    merge.run(merge.request());

    JsonNode config = merge.json("config.json");
    assertThat(config.path("eos_token_id").toString()).isEqualTo("[2,3]");
    assertThat(config.has("rope_scaling")).isFalse();
    assertThat(config.path("rope_theta").asInt()).isEqualTo(5);
    assertThat(merge.json("generation_config.json").path("eos_token_id").asInt()).isEqualTo(2);
    JsonNode tokenizer = merge.json("tokenizer_config.json");
    assertThat(tokenizer.path("chat_template").asText()).isEqualTo("theirs");
    assertThat(tokenizer.path("eos_token").asText()).isEqualTo("c");
    assertThat(tokenizer.path("model_max_length").asInt()).isEqualTo(99);
  }

  private String loaded(String special) throws IOException {
    JsonNode token =
        TokenizerSettings.specialToken(
                special,
                merge.json("tokenizer_config.json"),
                Files.exists(merge.output.resolve("special_tokens_map.json"))
                    ? merge.json("special_tokens_map.json")
                    : MissingNode.getInstance())
            .orElseThrow();
    return token.isObject() ? token.path("content").asText() : token.asText();
  }

  @Test
  void specialTokensOfTheFineTunedModelsConfigCountBesideAnOldTargetsMap() throws IOException {
    folder(4, 5, 6)
        .text(
            "tokenizer_config.json",
            "{\"added_tokens_decoder\": {}, \"pad_token\": \"d\","
                + "\"eos_token\": {\"__type\": \"AddedToken\", \"content\": \"c\"}}")
        .text("special_tokens_map.json", "{\"pad_token\": \"stale\"}")
        .write(merge.fineTuned);
    folder(7, 8, 9)
        .text("tokenizer_config.json", "{\"eos_token\": \"a\"}")
        .text("special_tokens_map.json", "{\"eos_token\": \"a\", \"unk_token\": \"b\"}")
        .write(merge.target);
    merge.run(merge.request());
    assertThat(loaded("eos_token")).isEqualTo("c");
    assertThat(loaded("pad_token")).isEqualTo("d");
    assertThat(loaded("unk_token")).isEqualTo("b");
    assertThat(merge.json("special_tokens_map.json").path("eos_token").toString())
        .isEqualTo("{\"content\":\"c\"}");
  }

  @Test
  void specialTokensOfAnOldFineTunedModelsMapCountBesideANewTargetsConfig() throws IOException {
    folder(4, 5, 6)
        .text("tokenizer_config.json", "{\"eos_token\": \"overridden\"}")
        .text(
            "special_tokens_map.json",
            "{\"eos_token\": {\"content\": \"c\"}, \"pad_token\": \"d\"}")
        .write(merge.fineTuned);
    folder(7, 8, 9)
        .text(
            "tokenizer_config.json",
            "{\"added_tokens_decoder\": {}, \"eos_token\": \"a\", \"pad_token\": \"a\"}")
        .write(merge.target);
    merge.run(merge.request());
    assertThat(loaded("eos_token")).isEqualTo("c");
    assertThat(loaded("pad_token")).isEqualTo("d");
    assertThat(merge.json("tokenizer_config.json").path("eos_token").path("__type").asText())
        .isEqualTo("AddedToken");
    assertThat(merge.output.resolve("special_tokens_map.json")).doesNotExist();
  }

  @Test
  void theTemplateForConversationsWithToolsComesFromWhereTheOtherOneComes() throws IOException {
    String tools = "additional_chat_templates/tool_use.jinja";
    folder(4, 5, 6)
        .text("chat_template.jinja", "theirs")
        .text(tools, "theirs with tools")
        .write(merge.fineTuned);
    folder(7, 8, 9)
        .text("chat_template.jinja", "ours")
        .text(tools, "ours with tools")
        .write(merge.target);
    merge.run(merge.request());
    assertThat(merge.output.resolve("chat_template.jinja")).hasContent("theirs");
    assertThat(merge.output.resolve(tools)).hasContent("theirs with tools");
    assertThat(Verification.of(merge.output)).isEmpty();

    merge.output = directory.resolve("of-target");
    merge.run(merge.request().withPolicies(Policies.of(Map.of("template", "target"))));
    assertThat(merge.output.resolve("chat_template.jinja")).hasContent("ours");
    assertThat(merge.output.resolve(tools)).hasContent("ours with tools");

    // A fine-tuned model with a template of its own has none of the target's.
    Files.delete(merge.fineTuned.resolve(tools));
    merge.output = directory.resolve("without");
    merge.run(merge.request());
    assertThat(merge.output.resolve("chat_template.jinja")).hasContent("theirs");
    assertThat(merge.output.resolve(tools)).doesNotExist();
  }

  @Test
  void aFolderOfTemplatesThatIsALinkOutOfTheModelIsRefused() throws IOException {
    merge.write();
    Path outside = Files.createDirectories(directory.resolve("outside"));
    Files.writeString(outside.resolve("tool_use.jinja"), "secret");
    Files.writeString(merge.fineTuned.resolve("chat_template.jinja"), "theirs");
    Files.createSymbolicLink(merge.fineTuned.resolve("additional_chat_templates"), outside);
    assertThatThrownBy(() -> merge.run(merge.request()))
        .hasMessageContaining("is a link to a file outside of the model's directory");
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
    merge.run(TransferRequest.of(b, f, t));

    assertThat(ModelFolder.floats(merge.output, "a")).containsExactly(11f);
    assertThat(ModelFolder.floats(merge.output, "c")).containsExactly(22f);
    assertThat(ModelFolder.floats(merge.output, buffer)).containsExactly(5f, 6f, 7f);
    assertThat(merge.json(SafetensorsShards.INDEX).path("weight_map").path(buffer).asText())
        .isEqualTo(one);
    try (SafetensorsShards written = SafetensorsShards.open(merge.output)) {
      assertThat(written.shards().get(1).file().entries()).containsOnlyKeys("c");
    }
  }

  private static ModelFolder twoVectors(float a, float c) {
    return new ModelFolder().add(ModelFolder.f32("a", a)).add(ModelFolder.f32("c", c));
  }
}
