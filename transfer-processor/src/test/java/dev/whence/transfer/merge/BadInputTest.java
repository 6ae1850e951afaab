package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.files.FileTree;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BadInputTest {
  private static final String NORM = "model.norm.weight";

  @TempDir Path directory;
  private Path base;
  private Path fineTuned;
  private Path target;

  @BeforeEach
  void models() throws IOException {
    base = good().write(directory.resolve("base"));
    fineTuned = good().write(directory.resolve("fine-tuned"));
    target = good().write(directory.resolve("target"));
  }

  private static ModelFolder good() {
    return new ModelFolder()
        .add(ModelFolder.f32(NORM, 1, 2, 3))
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1, 2, 3, 4));
  }

  private TransferRequest request() {
    return TransferRequest.of(base, fineTuned, target);
  }

  private static TransferException refused(TransferRequest request) {
    return catchThrowableOfType(
        TransferException.class,
        () -> {
          try (TransferPlan plan = TransferPlan.of(request)) {
            plan.id();
          }
        });
  }

  @Test
  void everythingThatIsWrongIsListedAtOnce() throws IOException {
    new ModelFolder()
        .add(ModelFolder.f32(NORM, 1, 2)) // another shape
        .add(ModelFolder.f32("only.in.fine-tuned", 1))
        .tokens(List.of("a", "b", "c", "e"))
        .write(fineTuned);
    good().add(new ModelFolder.Raw("eight.bits", "F8_E4M3", List.of(1L), new byte[1])).write(base);
    good()
        .add(new ModelFolder.Raw("eight.bits", "F8_E4M3", List.of(1L), new byte[1]))
        .add(ModelFolder.f32("only.in.target", 1))
        .write(target);
    TransferException refusal = refused(request().withLambdas(List.of(Double.NaN, 1., 1.)));

    assertThat(refusal.reasons())
        .anySatisfy(reason -> assertThat(reason).contains("lambda is NaN"))
        .anySatisfy(reason -> assertThat(reason).contains("the same value twice"))
        .anySatisfy(reason -> assertThat(reason).contains("vocabularies differ"))
        .anySatisfy(reason -> assertThat(reason).contains(NORM).contains("[2]").contains("[3]"))
        .anySatisfy(reason -> assertThat(reason).contains("only.in.fine-tuned"))
        .anySatisfy(reason -> assertThat(reason).contains("only.in.target"))
        .anySatisfy(
            reason ->
                assertThat(reason)
                    .contains("model.embed_tokens.weight")
                    .contains("not in the fine-tuned model"))
        .anySatisfy(reason -> assertThat(reason).contains("eight.bits"));
  }

  @Test
  void policiesLetThroughWhatStrictnessRefusesAndThePlanSaysWhatHappens() throws IOException {
    good().add(ModelFolder.f32("only.in.fine-tuned", 1)).write(fineTuned);
    good().add(ModelFolder.f32("only.in.target", 1)).write(target);
    Policies p = Policies.STRICT;
    Policies lenient =
        new Policies(
            Policies.Missing.TARGET,
            p.shapes(),
            p.tiedHead(),
            p.vocabulary(),
            p.addedTokens(),
            p.nonFinite(),
            p.template(),
            p.renamed());
    try (TransferPlan plan = TransferPlan.of(request().withPolicies(lenient))) {
      assertThat(plan.lines())
          .extracting(line -> line.tensor() + ": " + line.policy())
          .containsExactlyInAnyOrder(
              "model.norm.weight: merge",
              "model.embed_tokens.weight: merge",
              "only.in.target: keep the target's: not in base and fine-tuned",
              "only.in.fine-tuned: drop");
    }
  }

  @Test
  void aRenamedTensorIsFoundUnderItsOtherName() throws IOException {
    new ModelFolder()
        .add(ModelFolder.f32("norm", 1, 2, 3))
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1, 2, 3, 4))
        .write(target);
    Policies p = Policies.STRICT;
    Policies renamed =
        new Policies(
            p.missing(),
            p.shapes(),
            p.tiedHead(),
            p.vocabulary(),
            p.addedTokens(),
            p.nonFinite(),
            p.template(),
            java.util.Map.of("norm", NORM));
    try (TransferPlan plan = TransferPlan.of(request().withPolicies(renamed))) {
      assertThat(plan.lines())
          .anySatisfy(line -> assertThat(line.policy()).isEqualTo("merge, from " + NORM));
    }
  }

  @Test
  void aCompressedModelHasNoDifferenceThatMeansSomething() throws IOException {
    for (Path model : List.of(base, fineTuned, target)) {
      good().write(model);
    }
    Files.writeString(
        fineTuned.resolve("config.json"), "{\"vocab_size\": 4, \"whence_ranks\": [[1, 1, 1, 1]]}");
    assertThat(refused(request()).reasons())
        .singleElement()
        .satisfies(
            reason -> assertThat(reason).startsWith("fine-tuned").contains("whence compress"));
  }

  @Test
  void allThreeModelsAreLookedAtEvenIfTheFirstCanNotBeOpened() throws IOException {
    Files.write(base.resolve(SafetensorsShards.SINGLE), header(1L << 60));
    Files.writeString(
        target.resolve(SafetensorsShards.SINGLE), "not safetensors, but long enough for a header");
    FileTree.delete(fineTuned);
    assertThat(refused(request()).reasons())
        .hasSize(3)
        .anySatisfy(
            reason ->
                assertThat(reason).startsWith("base:").contains("header length " + (1L << 60)))
        .anySatisfy(reason -> assertThat(reason).startsWith("fine-tuned:"))
        .anySatisfy(reason -> assertThat(reason).startsWith("target:").contains("header length"));
  }

  private static byte[] header(long length) {
    return ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
  }

  @Test
  void duplicateKeysInAHeaderAreRefused() throws IOException {
    String json =
        "{\"a\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]},"
            + "\"a\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]}}";
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + json.length() + 1)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length())
            .put(json.getBytes(StandardCharsets.US_ASCII));
    Files.write(fineTuned.resolve(SafetensorsShards.SINGLE), bytes.array());
    assertThat(refused(request())).hasMessageContaining("Duplicate field 'a'");
  }

  @Test
  void anIndexOrALinkThatLeadsOutOfTheDirectoryIsRefused() throws IOException {
    Path outside = directory.resolve("outside.safetensors");
    Files.move(base.resolve(SafetensorsShards.SINGLE), outside);
    Files.writeString(
        base.resolve(SafetensorsShards.INDEX),
        "{\"weight_map\": {\"" + NORM + "\": \"../outside.safetensors\"}}");
    Files.delete(fineTuned.resolve(SafetensorsShards.SINGLE));
    Files.createSymbolicLink(fineTuned.resolve(SafetensorsShards.SINGLE), outside);
    assertThat(refused(request()).reasons())
        .anySatisfy(reason -> assertThat(reason).contains("not a plain file name"))
        .anySatisfy(reason -> assertThat(reason).contains("outside of the model's directory"));
  }

  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";

  @Test
  void everyShardOfAnIndexThatLeadsOutOfTheDirectoryIsNamed() throws IOException {
    Files.delete(base.resolve(SafetensorsShards.SINGLE));
    Files.writeString(
        base.resolve(SafetensorsShards.INDEX),
        "{\"weight_map\": {\"a\": \"../one.safetensors\", \"b\": \"/two.safetensors\", \"c\":"
            + " \"three.safetensors\"}}");
    assertThat(refused(request()).reasons())
        .hasSize(3)
        .allSatisfy(reason -> assertThat(reason).startsWith("base: "))
        .anySatisfy(reason -> assertThat(reason).contains("'../one.safetensors'"))
        .anySatisfy(reason -> assertThat(reason).contains("'/two.safetensors'"))
        .anySatisfy(reason -> assertThat(reason).contains("three.safetensors is missing"));
  }

  @Test
  void everyTensorThatStandsInTwoShardsOrNotWhereTheIndexSaysIsNamed() throws IOException {
    Files.delete(target.resolve(SafetensorsShards.SINGLE));
    new ModelFolder()
        .add(ONE, ModelFolder.f32("twice", 1))
        .add(ONE, ModelFolder.f32("twice.too", 1))
        .add(ONE, ModelFolder.f32("elsewhere", 1))
        .add(TWO, ModelFolder.f32("twice", 2))
        .add(TWO, ModelFolder.f32("twice.too", 2))
        .add(TWO, ModelFolder.f32("unknown", 2))
        .write(target);
    Files.writeString(
        target.resolve(SafetensorsShards.INDEX),
        String.format(
            "{\"weight_map\": {\"twice\": \"%1$s\", \"twice.too\": \"%2$s\","
                + " \"elsewhere\": \"%2$s\", \"nowhere\": \"%1$s\"}}",
            ONE, TWO));
    assertThat(refused(request()).reasons())
        .hasSize(5)
        .allSatisfy(reason -> assertThat(reason).contains("contradicts its shards"))
        .anySatisfy(
            reason -> assertThat(reason).endsWith("'twice' stands in " + ONE + " and in " + TWO))
        .anySatisfy(
            reason ->
                assertThat(reason).endsWith("'twice.too' stands in " + ONE + " and in " + TWO))
        .anySatisfy(
            reason ->
                assertThat(reason)
                    .endsWith("'elsewhere' is in " + ONE + ", not in " + TWO + ", its shard"))
        .anySatisfy(
            reason -> assertThat(reason).endsWith("'nowhere' is not in " + ONE + ", its shard"))
        .anySatisfy(
            reason -> assertThat(reason).endsWith("'unknown' of " + TWO + " is not in the index"));
  }

  @Test
  void aMessageHasTwentyReasonsAndHowManyMoreThereAreAndTheRefusalHasAll() throws IOException {
    ModelFolder more = good();
    for (int i = 0; i < 25; i++) {
      more.add(ModelFolder.f32("more." + i, 1));
    }
    more.write(target);
    TransferException refusal = refused(request());
    assertThat(refusal.reasons()).hasSize(25);
    assertThat(refusal).hasMessageEndingWith("; and 5 more");
    assertThat(String.valueOf(refusal.getMessage()).split("; ", -1)).hasSize(21);
  }

  @Test
  void aRequestOfWhichSomeModelsAreNowhereHasWhatIsWrongWithTheOthers() throws IOException {
    Files.write(fineTuned.resolve(SafetensorsShards.SINGLE), header(1L << 60));
    assertThat(
            TransferPlan.problems(
                request().withLambdas(List.of(Double.NaN)), java.util.Set.of(Role.FINE_TUNED)))
        .hasSize(2)
        .anySatisfy(reason -> assertThat(reason).contains("lambda is NaN"))
        .anySatisfy(reason -> assertThat(reason).startsWith("fine-tuned: ").contains("header"));
  }

  @Test
  void nanInAnInputFailsByDefaultWithTensorByteAndModelAndPassesByPolicy() throws IOException {
    good(Float.NaN).write(fineTuned);
    Path output = directory.resolve("out");
    assertThatThrownBy(() -> run(request(), output))
        .hasMessageContaining("'model.norm.weight'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("NaN in the fine-tuned model");
    assertThat(output).doesNotExist();
    Policies p = Policies.STRICT;
    run(
        request()
            .withPolicies(
                new Policies(
                    p.missing(),
                    p.shapes(),
                    p.tiedHead(),
                    p.vocabulary(),
                    p.addedTokens(),
                    Policies.NonFinite.PROPAGATE,
                    p.template(),
                    p.renamed())),
        output);
    assertThat(ModelFolder.floats(output, NORM)).containsExactly(1f, Float.NaN, 3f);
  }

  @Test
  void aFileOfWeightsThatHasTheNameOfATextIsRefused() throws IOException {
    for (String name : List.of("generation_config.json", Manifest.FILE)) {
      FileTree.delete(target);
      new ModelFolder()
          .random(name, NORM, ElementType.F32, 1, 3L)
          .random(name, "model.embed_tokens.weight", ElementType.F32, 2, 4L, 2L)
          .write(target);
      assertThat(refused(request()))
          .hasMessageContaining("a file of weights that does not end with .safetensors")
          .hasMessageContaining(name);
    }
  }

  @Test
  void theFirstElementThatIsRefusedIsNamedOfEveryTensorUpToTwenty() throws IOException {
    int tensors = 30;
    for (int bad : new int[] {3, tensors}) {
      ModelFolder ok = good();
      ModelFolder broken = good();
      for (int i = 0; i < tensors; i++) {
        ok.add(ModelFolder.f32("t." + i, 1, 2, 3));
        broken.add(
            i < bad
                ? ModelFolder.f32("t." + i, 1, Float.POSITIVE_INFINITY, Float.NaN)
                : ModelFolder.f32("t." + i, 1, 2, 3));
      }
      ok.write(base);
      ok.write(target);
      broken.write(fineTuned);
      Path output = directory.resolve("out");
      try (TransferPlan plan = TransferPlan.of(request())) {
        TransferException refusal =
            catchThrowableOfType(
                TransferException.class,
                () ->
                    MergeRun.run(
                        plan, output, MergeOptions.defaults().withWorkers(1), MergeProgress.NONE));
        List<String> named =
            refusal.reasons().stream().filter(reason -> reason.startsWith("tensor '")).toList();
        assertThat(named)
            .hasSize(Math.min(20, bad))
            .doesNotHaveDuplicates()
            .allSatisfy(
                reason ->
                    assertThat(reason).contains("the element is Infinity in the fine-tuned model"));
        assertThat(refusal.reasons()).hasSize(bad < 20 ? bad : 21);
      }
      assertThat(output).doesNotExist();
      assertThat(Files.exists(Staging.directory(output))).isFalse();
    }
  }

  @Test
  void resultsThatTheDiskHasNoRoomForAreRefusedBeforeAnythingIsWritten() throws IOException {
    long more = Files.getFileStore(directory).getUsableSpace() + (1L << 30);
    for (Path model : List.of(base, fineTuned, target)) {
      Sparse.write(model, "model.layers.0.a", more / 4);
    }
    Path output = directory.resolve("out");
    assertThatThrownBy(() -> run(request(), output)).hasMessageContaining("the results need");
    assertThat(Files.exists(Staging.directory(output))).isFalse();
    try (TransferPlan plan = TransferPlan.of(request())) {
      OutputState state = OutputState.of(plan, output);
      assertThat(state.found()).isEqualTo(OutputState.Found.NOTHING);
      assertThat(state.neededBytes()).isGreaterThan(more);
      assertThat(state.problems())
          .singleElement()
          .satisfies(reason -> assertThat(reason).contains("has only"));
    }
  }

  @Test
  void aResumedRunThatTheDiskHasNoRoomForKeepsWhatIsFinished() throws IOException {
    long more = Files.getFileStore(directory).getUsableSpace() + (1L << 30);
    for (Path model : List.of(base, fineTuned, target)) {
      Sparse.write(model, "model.layers.0.a", more / 4);
    }
    Path output = directory.resolve("out");
    Path staging = Staging.directory(output);
    try (TransferPlan plan = TransferPlan.of(request())) {
      long fresh = OutputState.of(plan, output).neededBytes();
      Path result = Files.createDirectories(staging.resolve("result"));
      Journal.begin(Staging.journal(staging), plan.id()).close();
      // As the largest tensor, which is the last of its file, leaves it: long, and nearly empty.
      Path file = result.resolve(plan.shards().get(0).fileName());
      try (FileChannel sparse =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        sparse.write(ByteBuffer.wrap(new byte[] {1}), plan.outputBytes() - 1);
      }
      OutputState state = OutputState.of(plan, output);
      assertThat(state.found()).isEqualTo(OutputState.Found.UNFINISHED);
      assertThat(state.neededBytes()).isEqualTo(fresh);
      assertThat(state.problems()).hasSize(1);

      assertThatThrownBy(() -> run(request(), output))
          .hasMessageContaining("the results need " + fresh)
          .hasMessageContaining("what an earlier run has finished stays");
      assertThat(Staging.journal(staging)).exists();
      assertThat(file).exists();
      assertThat(
              OutputState.writtenBytes(
                  plan, Set.of("model.layers.0.a", "an input that was only read")))
          .isEqualTo(plan.shards().get(0).dataBytes());
    }
  }

  private static ModelFolder good(float middle) {
    return new ModelFolder()
        .add(ModelFolder.f32(NORM, 1, middle, 3))
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1, 2, 3, 4));
  }

  private static void run(TransferRequest request, Path output) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, output, MergeOptions.defaults(), MergeProgress.NONE);
    }
  }

  @Test
  void aPlanHasTheSameNameUntilAnInputAFactorOrAPolicyChanges() throws IOException {
    String id = id(request());
    assertThat(id(request())).isEqualTo(id);
    assertThat(id(request().withLambdas(List.of(.5)))).isNotEqualTo(id);
    good(2.5f).write(fineTuned);
    assertThat(id(request())).isNotEqualTo(id);
  }

  private static String id(TransferRequest request) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      return plan.id();
    }
  }

  @Test
  void typesOfSixteenAndThirtyTwoBitsGoTogether() throws IOException {
    new ModelFolder()
        .add(ModelFolder.random(NORM, ElementType.F16, 1, 3L))
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, 1, 2, 3, 4))
        .write(fineTuned);
    try (TransferPlan plan = TransferPlan.of(request())) {
      assertThat(plan.lines())
          .anySatisfy(line -> assertThat(line.policy()).isEqualTo("merge (F32 F16 to F32)"));
    }
  }
}
