package dev.whence.transfer.diff;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.engine.weights.ElementType;
import dev.whence.samples.BundledModels;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.Sparse;
import dev.whence.transfer.merge.TensorReader;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiffVectorTest {
  @TempDir Path directory;

  private Path write(String name, float... values) throws IOException {
    return new ModelFolder()
        .add(ModelFolder.f32("model.layers.0.a", values))
        .write(directory.resolve(name));
  }

  @Test
  void basePlusStoredDeltaIsTheFineTunedModelAndMinusItIsTheBaseAgain() throws IOException {
    Path base = BundledModels.unpack("base-v1");
    Path chat = BundledModels.unpack(BundledModels.CHAT);
    Path diff = directory.resolve("diff");
    DiffExtraction.Extracted extracted = DiffExtraction.extract(base, chat, diff);
    assertThat(extracted.inexact()).isZero();

    Path again = directory.resolve("again");
    DiffApplication.apply(base, List.of(new DiffApplication.Weighted(diff, 1)), again);
    assertThat(ModelFolder.values(again)).isEqualTo(ModelFolder.values(chat));

    // F - (F - B) is B wherever the difference is exact; what is not is counted, and nothing else
    // may differ.
    Path back = directory.resolve("back");
    DiffApplication.apply(chat, List.of(new DiffApplication.Weighted(diff, -1)), back);
    assertThat(different(base, back)).isEqualTo(extracted.inexactBack());
  }

  @Test
  void aStoredOrComposedDiffIsRefusedWhereAModelIsWanted() throws IOException {
    Path base = write("b", 1, 2);
    Path fineTuned = write("f", 2, 3);
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(base, fineTuned, diff);
    Path composed = directory.resolve("composed");
    DiffApplication.compose(List.of(new DiffApplication.Weighted(diff, 2)), composed);
    Path applied = directory.resolve("applied");
    DiffApplication.apply(base, List.of(new DiffApplication.Weighted(diff, 1)), applied);
    for (Path one : List.of(diff, composed)) {
      assertThatThrownBy(() -> TransferPlan.of(TransferRequest.of(base, one, base)).close())
          .isInstanceOf(TransferException.class)
          .hasMessageContaining(one + " is a stored diff vector and no model");
    }
    try (TransferPlan plan = TransferPlan.of(TransferRequest.of(base, applied, base))) {
      assertThat(plan.lines()).isNotEmpty(); // what a diff was added to is a model
    }
  }

  @Test
  void theWayBackGivesEveryBitOfTheBaseWhereSterbenzHolds() throws IOException {
    for (ElementType type : ElementType.values()) {
      int n = 70_001;
      ModelFolder.Raw base = ModelFolder.random("a", type, 8, (long) n);
      // The last bit flipped: a neighbour, of the same sign and within a factor of two unless the
      // number is the smallest of all, whose neighbour is zero and whose difference is exact, too.
      byte[] neighbours = base.bytes().clone();
      for (int i = 0; i < n; i++) {
        neighbours[i * type.bytes()] ^= 1;
      }
      Path b = new ModelFolder().add(base).write(directory.resolve("sb-" + type));
      Path f =
          new ModelFolder()
              .add(new ModelFolder.Raw("a", type.name(), base.shape(), neighbours))
              .write(directory.resolve("sf-" + type));
      Path diff = directory.resolve("sd-" + type);
      assertThat(DiffExtraction.extract(b, f, diff))
          .isEqualTo(new DiffExtraction.Extracted(n, 0, 0, 0));
      Path back = directory.resolve("sback-" + type);
      DiffApplication.apply(f, List.of(new DiffApplication.Weighted(diff, -1)), back);
      assertThat(ModelFolder.values(back)).isEqualTo(ModelFolder.values(b));
    }
  }

  @Test
  void aModelIsNotTakenForADiff() throws IOException {
    Path base = write("b", 1, 2);
    Path fineTuned = write("f", 2, 3);
    Path diff = directory.resolve("diff");
    Path output = directory.resolve("out");
    DiffExtraction.extract(base, fineTuned, diff);
    List<DiffApplication.Weighted> model = List.of(new DiffApplication.Weighted(fineTuned, 1));
    String reason = fineTuned + " is no stored diff vector by its metadata: 'whence transfer";
    assertThatThrownBy(() -> DiffApplication.apply(base, model, output))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith(reason);
    assertThatThrownBy(() -> DiffApplication.compose(model, output))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith(reason);
    assertThatThrownBy(() -> DiffInspection.of(fineTuned, Optional.empty()))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith(reason);
    assertThatThrownBy(() -> DiffInspection.of(diff, Optional.of(fineTuned)))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith(reason);
    assertThat(output).doesNotExist();
  }

  @Test
  void aDiffAndACompressedModelAreNotTakenForAModel() throws IOException {
    Path base = write("b", 1, 2);
    Path diff = directory.resolve("diff");
    Path output = directory.resolve("out");
    DiffExtraction.extract(base, write("f", 2, 3), diff);
    Path compressed =
        new ModelFolder()
            .add(ModelFolder.f32("model.layers.0.a", 1, 2))
            .text("config.json", "{\"vocab_size\": 4, \"whence_ranks\": [[1, 1, 1, 1]]}")
            .write(directory.resolve("compressed"));
    assertThat(
            catchThrowableOfType(
                    TransferException.class, () -> DiffExtraction.extract(diff, compressed, output))
                .reasons())
        .hasSize(2)
        .anySatisfy(
            reason ->
                assertThat(reason).startsWith("base: " + diff + " is a stored diff vector and no"))
        .anySatisfy(
            reason ->
                assertThat(reason)
                    .startsWith("fine-tuned: " + compressed + " was made by 'whence compress'"));
    List<DiffApplication.Weighted> weighted = List.of(new DiffApplication.Weighted(diff, 1));
    assertThatThrownBy(() -> DiffApplication.apply(diff, weighted, output))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith("target: " + diff + " is a stored diff vector and no model");
    assertThatThrownBy(() -> DiffApplication.apply(compressed, weighted, output))
        .isInstanceOf(TransferException.class)
        .hasMessageStartingWith("target: " + compressed + " was made by 'whence compress'");
    assertThat(output).doesNotExist();
  }

  @Test
  void aDiffCarriesTheTemplateForConversationsWithTools() throws IOException {
    String tools = "additional_chat_templates/tool_use.jinja";
    Path base = write("b", 1, 2);
    Path fineTuned =
        new ModelFolder()
            .add(ModelFolder.f32("model.layers.0.a", 2, 3))
            .text("chat_template.jinja", "theirs")
            .text(tools, "theirs with tools")
            .write(directory.resolve("f"));
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(base, fineTuned, diff);
    Path output = directory.resolve("out");
    DiffApplication.apply(base, List.of(new DiffApplication.Weighted(diff, 1)), output);
    assertThat(output.resolve("chat_template.jinja")).hasContent("theirs");
    assertThat(output.resolve(tools)).hasContent("theirs with tools");
  }

  @Test
  void allDiffsThatCanNotBeOpenedAndAllWeightsThatAreNoneAreToldWithTheModel() throws IOException {
    Path base = write("b", 1, 2);
    Path one = directory.resolve("one");
    DiffExtraction.extract(base, write("f", 2, 3), one);
    List<DiffApplication.Weighted> bad =
        List.of(
            new DiffApplication.Weighted(directory.resolve("none"), 1),
            new DiffApplication.Weighted(one, Double.NaN),
            new DiffApplication.Weighted(directory.resolve("nowhere"), 1));
    Path output = directory.resolve("out");
    assertThat(
            catchThrowableOfType(
                    TransferException.class,
                    () -> DiffApplication.apply(directory.resolve("no-model"), bad, output))
                .reasons())
        .hasSize(4)
        .anySatisfy(reason -> assertThat(reason).contains("no-model"))
        .anySatisfy(reason -> assertThat(reason).contains("/none "))
        .anySatisfy(reason -> assertThat(reason).contains("is NaN, not a finite number"))
        .anySatisfy(reason -> assertThat(reason).contains("/nowhere "));
    assertThat(
            catchThrowableOfType(
                    TransferException.class, () -> DiffApplication.compose(bad, output))
                .reasons())
        .hasSize(3);
    assertThat(
            catchThrowableOfType(
                    TransferException.class,
                    () ->
                        DiffExtraction.extract(
                            directory.resolve("no-b"), directory.resolve("no-f"), output))
                .reasons())
        .hasSize(2);
    assertThat(output).doesNotExist();
  }

  @Test
  void withinAFactorOfTwoAndOfTheSameSignThereAreNoExceptions() throws IOException {
    // Sterbenz: the difference of such numbers is a number of the same type.
    int n = 5000;
    float[] base = new float[n];
    float[] fineTuned = new float[n];
    java.util.Random random = new java.util.Random(3);
    for (int i = 0; i < n; i++) {
      base[i] = (float) random.nextGaussian();
      fineTuned[i] = base[i] * (.5f + 1.5f * random.nextFloat());
    }
    DiffExtraction.Extracted extracted =
        DiffExtraction.extract(write("b", base), write("f", fineTuned), directory.resolve("diff"));
    assertThat(extracted).isEqualTo(new DiffExtraction.Extracted(n, 0, 0, 0));
  }

  @Test
  void anElementWhoseDifferenceDoesNotFitTheTypeIsStoredAsAnException() throws IOException {
    // In fp32, 1 + (2^-30 - 1) is 0: the difference needs 30 bits.
    Path base = write("b", 1, 2, 1);
    Path fineTuned = write("f", 3, 2.5f, 0x1p-30f);
    Path diff = directory.resolve("diff");
    assertThat(DiffExtraction.extract(base, fineTuned, diff))
        .isEqualTo(new DiffExtraction.Extracted(3, 1, 0, 0));
    DiffApplication.apply(
        base, List.of(new DiffApplication.Weighted(diff, 1)), directory.resolve("again"));
    assertThat(ModelFolder.floats(directory.resolve("again"), "model.layers.0.a"))
        .containsExactly(3f, 2.5f, 0x1p-30f);
  }

  @Test
  void whatNoDifferenceGivesBackIsCounted() throws IOException {
    assertThat(
            DiffExtraction.extract(write("b", 0x1p100f), write("f", 1), directory.resolve("diff")))
        .isEqualTo(new DiffExtraction.Extracted(1, 1, 1, 0));
  }

  @Test
  void bf16ExceptionsAreFoundAcrossPieces() throws IOException {
    Path base =
        new ModelFolder()
            .add(ModelFolder.random("a", ElementType.BF16, 1, 70_001L))
            .write(directory.resolve("b"));
    Path fineTuned =
        new ModelFolder()
            .add(ModelFolder.random("a", ElementType.BF16, 2, 70_001L))
            .write(directory.resolve("f"));
    Path diff = directory.resolve("diff");
    DiffExtraction.Extracted extracted = DiffExtraction.extract(base, fineTuned, diff);
    assertThat(extracted.exceptions()).isPositive();
    assertThat(extracted.inexact()).isZero();
    DiffApplication.apply(
        base, List.of(new DiffApplication.Weighted(diff, 1)), directory.resolve("again"));
    assertThat(ModelFolder.values(directory.resolve("again")))
        .isEqualTo(ModelFolder.values(fineTuned));
  }

  @Test
  void diffsAddUpWithTheirWeights() throws IOException {
    Path base = write("b", 1, 2);
    Path one = directory.resolve("one");
    Path two = directory.resolve("two");
    DiffExtraction.extract(base, write("f1", 2, 2), one);
    DiffExtraction.extract(base, write("f2", 1, 4), two);
    List<DiffApplication.Weighted> both =
        List.of(new DiffApplication.Weighted(one, .5), new DiffApplication.Weighted(two, -2));
    DiffApplication.compose(both, directory.resolve("sum"));
    DiffApplication.apply(base, both, directory.resolve("at-once"));
    DiffApplication.apply(
        base,
        List.of(new DiffApplication.Weighted(directory.resolve("sum"), 1)),
        directory.resolve("composed"));
    for (String result : List.of("at-once", "composed")) {
      assertThat(ModelFolder.floats(directory.resolve(result), "model.layers.0.a"))
          .containsExactly(1.5f, -2f);
    }
  }

  @Test
  void inspectionGivesNormsByLayerAndTheCosineWithAnotherDiff() throws IOException {
    Path base = write("b", 0, 0);
    DiffExtraction.extract(base, write("f1", 3, 4), directory.resolve("one"));
    DiffExtraction.extract(base, write("f2", 4, -3), directory.resolve("two"));
    DiffInspection alone = DiffInspection.of(directory.resolve("one"), Optional.empty());
    assertThat(alone.layers()).hasSize(1);
    assertThat(alone.layers().get(0).name()).isEqualTo("layer    0");
    assertThat(alone.total().norm()).isEqualTo(5);
    assertThat(alone.total().largest()).isEqualTo(4);
    assertThat(alone.total().cosine()).isEmpty();
    DiffInspection both =
        DiffInspection.of(directory.resolve("one"), Optional.of(directory.resolve("two")));
    assertThat(both.total().cosine()).contains(0.); // 3 * 4 - 4 * 3
  }

  @Test
  void aDiffThatDoesNotMatchTheModelIsRefusedWithAllReasons() throws IOException {
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(write("b", 1, 2), write("f", 2, 3), diff);
    Path other =
        new ModelFolder()
            .add(ModelFolder.f32("model.layers.0.a", 1))
            .add(ModelFolder.f32("model.layers.1.a", 1))
            .write(directory.resolve("other"));
    assertThatThrownBy(
            () ->
                DiffApplication.apply(
                    other,
                    List.of(new DiffApplication.Weighted(diff, 1)),
                    directory.resolve("out")))
        .hasMessageContaining("has shape [2], the model has F32 [1]")
        .hasMessageContaining("'model.layers.1.a' of the model has no difference");
    assertThat(Files.exists(directory.resolve("out"))).isFalse();
  }

  @Test
  void whatTheDiskHasNoRoomForIsRefusedBeforeItIsRead() throws IOException {
    long elements = (Files.getFileStore(directory).getUsableSpace() + (1L << 30)) / 4;
    String name = "model.layers.0.a";
    Path large = Sparse.write(directory.resolve("large"), name, elements);
    Path output = directory.resolve("out");
    assertThatThrownBy(() -> DiffExtraction.extract(large, large, output))
        .hasMessageContaining("the results need");
    Path diff = Sparse.diff(directory.resolve("large-diff"), name, elements);
    List<DiffApplication.Weighted> diffs = List.of(new DiffApplication.Weighted(diff, 1));
    assertThatThrownBy(() -> DiffApplication.apply(large, diffs, output))
        .hasMessageContaining("the results need");
    assertThatThrownBy(() -> DiffApplication.compose(diffs, output))
        .hasMessageContaining("the results need");
    assertThat(output).doesNotExist();
  }

  @Test
  void whatIsNotFiniteIsRefusedWithTensorElementAndModelAndPassesByPolicy() throws IOException {
    Path base = write("b", 1, 2, 3);
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(base, write("f", 2, 3, 4), diff);
    List<DiffApplication.Weighted> one = List.of(new DiffApplication.Weighted(diff, 1));
    Path target = write("t", 1, Float.NaN, Float.POSITIVE_INFINITY);
    Path output = directory.resolve("out");
    assertThatThrownBy(() -> DiffApplication.apply(target, one, output))
        .hasMessageContaining("tensor 'model.layers.0.a', element 1 is NaN in the model");
    assertThat(output).doesNotExist();
    DiffApplication.apply(target, one, output, Policies.NonFinite.PROPAGATE);
    assertThat(ModelFolder.floats(output, "model.layers.0.a"))
        .containsExactly(2f, Float.NaN, Float.POSITIVE_INFINITY);

    Path infinite =
        new ModelFolder()
            .add(ModelFolder.f32("model.layers.0.a", 0, 0, Float.NEGATIVE_INFINITY))
            .diff()
            .write(directory.resolve("i"));
    List<DiffApplication.Weighted> two =
        List.of(one.get(0), new DiffApplication.Weighted(infinite, .5));
    Path sum = directory.resolve("sum");
    assertThatThrownBy(() -> DiffApplication.compose(two, sum))
        .hasMessageContaining("element 2 is -Infinity in the diff " + infinite);
    DiffApplication.compose(two, sum, Policies.NonFinite.PROPAGATE);
    assertThat(ModelFolder.floats(sum, "model.layers.0.a"))
        .containsExactly(1f, 1f, Float.NEGATIVE_INFINITY);
    assertThatThrownBy(() -> DiffExtraction.extract(base, target, directory.resolve("none")))
        .hasMessageContaining("element 1 is NaN in the fine-tuned model: it has no difference");
  }

  private Path write(String name, ModelFolder.Raw more) throws IOException {
    return new ModelFolder()
        .add(ModelFolder.f32("model.layers.0.a", 1))
        .add(more)
        .write(directory.resolve(name));
  }

  @Test
  void tensorsThatHaveNoDifferenceAreRefusedUnlessTheyAreTheSame() throws IOException {
    ModelFolder.Raw one = new ModelFolder.Raw("n", "I64", List.of(1L), new byte[8]);
    byte[] changedBytes = {1, 0, 0, 0, 0, 0, 0, 0};
    ModelFolder.Raw two = new ModelFolder.Raw("n", "I64", List.of(1L), changedBytes);
    ModelFolder.Raw wide = new ModelFolder.Raw("n", "F64", List.of(1L), new byte[8]);
    Path base = write("b", one);
    assertThat(DiffExtraction.extract(base, write("same", one), directory.resolve("diff")))
        .isEqualTo(new DiffExtraction.Extracted(1, 0, 0, 0));
    Path changed = write("changed", two);
    assertThatThrownBy(() -> DiffExtraction.extract(base, changed, directory.resolve("none")))
        .hasMessageContaining("'n' is I64 and not the same in both models");
    Path doubles = write("doubles", wide);
    assertThatThrownBy(() -> DiffExtraction.extract(doubles, doubles, directory.resolve("none")))
        .hasMessageContaining("'n' is F64 in base");
    assertThatThrownBy(
            () ->
                DiffApplication.apply(
                    doubles,
                    List.of(new DiffApplication.Weighted(directory.resolve("diff"), 1)),
                    directory.resolve("none")))
        .hasMessageContaining("'n' of the model is F64");
    assertThat(directory.resolve("none")).doesNotExist();
  }

  @Test
  void theSignOfAZeroComesBackBothWays() throws IOException {
    float[] b = {0, -0f, -0f, 1, 0, -0f, -0f, 2};
    float[] f = {-0f, -0f, 0, -0f, 0, 3, -1, 2};
    Path base = write("b", b);
    Path fineTuned = write("f", f);
    Path diff = directory.resolve("diff");
    assertThat(DiffExtraction.extract(base, fineTuned, diff))
        .isEqualTo(new DiffExtraction.Extracted(b.length, 0, 0, 0));
    assertThat(applied(base, "there", new DiffApplication.Weighted(diff, 1))).isEqualTo(floats(f));
    assertThat(applied(fineTuned, "back", new DiffApplication.Weighted(diff, -1)))
        .isEqualTo(floats(b));
  }

  @Test
  void aZeroThatIsNotWhereTheBaseWasIsAPlainSum() throws IOException {
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(write("b", 1, 1, 1), write("f", -0f, -0f, 2), diff);
    // 3 + (-0 - 1) is 2, and 1 + -1 is F's own -0.0; half of the difference leads to nobody's zero
    assertThat(applied(write("t", 3, 1, -1), "t1", new DiffApplication.Weighted(diff, 1)))
        .isEqualTo(floats(new float[] {2, -0f, 0}));
    assertThat(applied(write("h", .5f, 1, -.5f), "t2", new DiffApplication.Weighted(diff, .5)))
        .isEqualTo(floats(new float[] {0, .5f, 0}));
  }

  @Test
  void weightsOfZeroChangeNoBitNotEvenOfWhatIsNoNumber() throws IOException {
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(write("b", 1, -1, 1, 1), write("f", 2, 2, 2, 2), diff);
    ByteBuffer bytes = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    // -0.0, 0.0, a quiet and a signalling NaN, each with something to tell
    bytes.putInt(0x80000000).putInt(0).putInt(0x7fc12345).putInt(0xff812345);
    Path target =
        new ModelFolder()
            .add(new ModelFolder.Raw("model.layers.0.a", "F32", List.of(4L), bytes.array()))
            .write(directory.resolve("t"));
    DiffApplication.Weighted nothing = new DiffApplication.Weighted(diff, 0);
    DiffApplication.apply(target, List.of(nothing, nothing), directory.resolve("out"));
    assertThat(ModelFolder.values(directory.resolve("out"))).isEqualTo(ModelFolder.values(target));
  }

  @Test
  void whatTheWayBackLosesIsCounted() throws IOException {
    for (ElementType type : ElementType.values()) {
      Path base = directory.resolve("b-" + type);
      Path fineTuned = directory.resolve("f-" + type);
      new ModelFolder().add(ModelFolder.random("a", type, 5, 70_001L)).write(base);
      new ModelFolder().add(ModelFolder.random("a", type, 6, 70_001L)).write(fineTuned);
      Path diff = directory.resolve("diff-" + type);
      DiffExtraction.Extracted extracted = DiffExtraction.extract(base, fineTuned, diff);
      Path back = directory.resolve("back-" + type);
      DiffApplication.apply(fineTuned, List.of(new DiffApplication.Weighted(diff, -1)), back);
      assertThat(extracted.inexactBack()).isEqualTo(different(base, back)).isPositive();
    }
  }

  private static long different(Path one, Path other) {
    try (TensorReader a = TensorReader.open(Role.BASE, one);
        TensorReader b = TensorReader.open(Role.BASE, other)) {
      long different = 0;
      for (TensorReader.Info tensor : a.tensors().values()) {
        double[] left = new double[TensorReader.PIECE];
        double[] right = new double[TensorReader.PIECE];
        for (long at = 0; at < tensor.elements(); at += TensorReader.PIECE) {
          int n = (int) Math.min(TensorReader.PIECE, tensor.elements() - at);
          a.read(tensor.name(), at, n, left);
          b.read(tensor.name(), at, n, right);
          for (int i = 0; i < n; i++) {
            different += left[i] == right[i] ? 0 : 1;
          }
        }
      }
      return different;
    }
  }

  @Test
  void placesOfZerosThatAreNoneAreRefused() throws IOException {
    String name = "model.layers.0.a.negative-zeros.at";
    Path good = diffWith(new ModelFolder.Raw(name, "I64", List.of(2L), longs(0, 1)));
    StoredDiff.open(good).close();
    for (ModelFolder.Raw bad :
        List.of(
            new ModelFolder.Raw("b.negative-zeros.at", "I64", List.of(1L), longs(0)),
            new ModelFolder.Raw("b.base-negative-zeros.at", "I64", List.of(1L), longs(0)),
            new ModelFolder.Raw(name, "I64", List.of(1L, 1L), longs(0)),
            new ModelFolder.Raw(name, "I64", List.of(3L), longs(0, 1, 2)),
            new ModelFolder.Raw(name, "I64", List.of(2L), longs(1, 0)),
            new ModelFolder.Raw(name, "I64", List.of(2L), longs(1, 1)),
            new ModelFolder.Raw(name, "I64", List.of(1L), longs(2)),
            new ModelFolder.Raw(name, "I64", List.of(1L), longs(-1)),
            new ModelFolder.Raw(name, "F32", List.of(1L), new byte[4]))) {
      Path diff = diffWith(bad);
      assertThatThrownBy(() -> StoredDiff.open(diff))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("is no diff vector: '" + bad.name() + "'");
    }
  }

  private Path diffWith(ModelFolder.Raw places) throws IOException {
    return new ModelFolder()
        .add(ModelFolder.f32("model.layers.0.a", 0, 0))
        .add(places)
        .diff()
        .write(Files.createTempDirectory(directory, "places"));
  }

  private static byte[] longs(long... values) {
    ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (long value : values) {
      bytes.putLong(value);
    }
    return bytes.array();
  }

  private List<Float> applied(Path target, String name, DiffApplication.Weighted... diffs) {
    Path output = directory.resolve(name);
    DiffApplication.apply(target, List.of(diffs), output);
    return ModelFolder.floats(output, "model.layers.0.a");
  }

  /** As a list, whose equality tells the zeros apart. */
  private static List<Float> floats(float[] values) {
    List<Float> list = new java.util.ArrayList<>();
    for (float value : values) {
      list.add(value);
    }
    return list;
  }

  @Test
  void aSumThatDoesNotFitIsRefusedByName() throws IOException {
    Path base = write("b", 1, 1);
    Path diff = directory.resolve("diff");
    DiffExtraction.extract(base, write("f", 1, 0x1p127f), diff);
    List<DiffApplication.Weighted> much = List.of(new DiffApplication.Weighted(diff, 4));
    assertThatThrownBy(() -> DiffApplication.apply(base, much, directory.resolve("out")))
        .hasMessageContaining("tensor 'model.layers.0.a', element 1: the sum");
    assertThatThrownBy(() -> DiffApplication.compose(much, directory.resolve("out")))
        .hasMessageContaining("tensor 'model.layers.0.a', element 1: the sum");
    assertThat(directory.resolve("out")).doesNotExist();
  }
}
