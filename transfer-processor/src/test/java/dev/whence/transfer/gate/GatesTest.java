package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.OutputState;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Sparse;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Scale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GatesTest {
  private static final String WEIGHT = "model.layers.0.a";

  @TempDir Path directory;

  /** A model is one number x; its loss is known in closed form. */
  private Path model(String name, float... x) throws IOException {
    return new ModelFolder().add(ModelFolder.f32(WEIGHT, x)).write(directory.resolve(name));
  }

  private GateReport measure(Judge judge, List<Double> sweep, float b, float f, float t)
      throws IOException {
    TransferRequest request = TransferRequest.of(model("b", b), model("f", f), model("t", t));
    Path merged = directory.resolve("merged");
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, merged, MergeOptions.defaults(), MergeProgress.NONE);
    }
    GateOptions options =
        GateOptions.of(directory.resolve("task"), directory.resolve("general")).withSweep(sweep);
    return new Gates(judge, options, MergeOptions.defaults(), what -> {})
        .measure(request, merged, directory.resolve("scratch"));
  }

  private static float x(Path model) {
    return ModelFolder.floats(model, WEIGHT).get(0);
  }

  @Test
  void aStraightWayHasNoBarrierAndEveryLossIsInTheReport() throws IOException {
    // From F = 2 to M = 6 + (2 - 1) = 7; the loss falls in a straight line.
    GateReport report =
        measure((model, set) -> set.endsWith("task") ? 10 - x(model) : 1, List.of(.5, 2.), 1, 2, 6);

    assertThat(report.passed()).isTrue();
    assertThat(report.connectivity()).hasSize(11);
    assertThat(report.connectivity().get(0).task()).isEqualTo(8);
    assertThat(report.connectivity().get(10).task()).isEqualTo(3);
    assertThat(report.barrierTask()).isCloseTo(0, within(1e-6));
    assertThat(report.losses())
        .containsExactly(
            new GateReport.ModelLoss("base", 9, 1),
            new GateReport.ModelLoss("fine-tuned", 8, 1),
            new GateReport.ModelLoss("target", 4, 1),
            new GateReport.ModelLoss("transferred", 3, 1));
    assertThat(report.sweep())
        .containsExactly(new GateReport.Point(.5, 3.5, 1), new GateReport.Point(2, 2, 1));
    assertThat(directory.resolve("scratch")).doesNotExist();
  }

  @Test
  void aHillOnTheWayIsTheBarrierAndRejects() throws IOException {
    // On the way from 2 to 7 the general loss rises by .5 in the middle: 1 + .5 sin(pi a).
    GateReport report =
        measure(
            (model, set) ->
                set.endsWith("task")
                    ? 10 - x(model)
                    : 1 + .5 * Math.sin(Math.PI * (x(model) - 2) / 5),
            List.of(),
            1,
            2,
            6);
    assertThat(report.barrierGeneral()).isCloseTo(.5, within(1e-6));
    assertThat(report.gates())
        .filteredOn(gate -> gate.name().equals("connectivity"))
        .extracting(GateReport.Gate::passed)
        .containsExactly(false);
    assertThat(report.passed()).isFalse();
  }

  @Test
  void aHillThatOnlyTheTaskSetSeesRejectsAsWell() throws IOException {
    // The task loss falls in a straight line from 8 to 3 as above, and rises by .5 in the middle.
    GateReport report =
        measure(
            (model, set) ->
                set.endsWith("task")
                    ? 10 - x(model) + .5 * Math.sin(Math.PI * (x(model) - 2) / 5)
                    : 1,
            List.of(),
            1,
            2,
            6);
    assertThat(report.barrierTask()).isCloseTo(.5, within(1e-6));
    assertThat(report.barrierGeneral()).isCloseTo(0, within(1e-6));
    GateReport.Gate connectivity = gate(report, "connectivity");
    assertThat(connectivity.passed()).isFalse();
    assertThat(connectivity.detail()).contains("0.5000 on the task set and 0.0000 on the general");
    assertThat(report.gates())
        .filteredOn(gate -> !gate.passed())
        .extracting(GateReport.Gate::name)
        .containsExactly("connectivity");
    assertThat(report.passed()).isFalse();
  }

  @Test
  void aTransferThatIsNoBetterThanTheTargetOrForgetsIsRejected() throws IOException {
    // The task loss rises with x, so the target is better; the general loss doubles from T to M.
    GateReport report =
        measure(
            (model, set) -> set.endsWith("task") ? x(model) : Math.pow(2, x(model)),
            List.of(),
            1,
            1.5f,
            6);
    assertThat(report.gates())
        .filteredOn(gate -> !gate.passed())
        .extracting(GateReport.Gate::name)
        .contains("better than the target", "as good as the fine-tuned model");
    assertThat(report.gates())
        .filteredOn(gate -> gate.name().equals("nothing forgotten"))
        // 2^.5 on both sides: within the tolerance
        .extracting(GateReport.Gate::passed)
        .containsExactly(true);
  }

  @Test
  void theTaskToleranceIsAShareOfTheFineTunedModelsLoss() throws IOException {
    // task(F) = 2 and task(M) = task(7) = 3: half as much more, and the target has 4.
    Judge judge = (model, set) -> set.endsWith("task") ? x(model) == 2 ? 2 : 10 - x(model) : 1;
    GateReport.Gate tight = worth(measure(judge, List.of(), 1, 2, 6));
    assertThat(tight.passed()).isFalse();
    assertThat(tight.detail()).endsWith("it takes a task tolerance of 0.50");

    Path merged = directory.resolve("merged");
    TransferRequest request =
        TransferRequest.of(directory.resolve("b"), directory.resolve("f"), directory.resolve("t"));
    GateOptions wide =
        new GateOptions(
            directory.resolve("task"), directory.resolve("general"), .1, .5, .1, List.of());
    GateReport.Gate loose =
        worth(
            new Gates(judge, wide, MergeOptions.defaults(), what -> {})
                .measure(request, merged, directory.resolve("scratch")));
    assertThat(loose.passed()).isTrue();
    assertThat(loose.detail()).doesNotContain("it takes");
  }

  @Property
  void theToleranceThatAFailureNamesPassesAndAHundredthLessDoesNot(
      @ForAll @Scale(6) @DoubleRange(min = 1e-6, max = 1e3) double fineTuned,
      @ForAll @Scale(9) @DoubleRange(min = 1.11, max = 100) double factor) {
    double loss = fineTuned * factor;
    String sentence = Gates.needed(loss, fineTuned, .1);
    assertThat(sentence).startsWith("; it takes a task tolerance of ");
    double tolerance = Double.parseDouble(sentence.substring(sentence.lastIndexOf(' ') + 1));
    assertThat(Gates.needed(loss, fineTuned, tolerance)).isEmpty();
    assertThat(Gates.needed(loss, fineTuned, (Math.round(tolerance * 100) - 1) / 100.))
        .isEqualTo(sentence);
  }

  @Example
  void noToleranceIsNamedThatWouldNotBeTakenOrIsNone() {
    assertThat(Gates.needed(101, 1, .1)).isEqualTo("; it takes a task tolerance of 100.00");
    for (double loss : new double[] {101.001, 1e300, Double.POSITIVE_INFINITY, Double.NaN, .5}) {
      assertThat(Gates.needed(loss, 1, .1)).isEmpty();
    }
    for (double none : new double[] {0, -1, Double.NaN, Double.MIN_VALUE}) {
      assertThat(Gates.needed(1, none, .1)).isEmpty();
    }
  }

  private static GateReport.Gate worth(GateReport report) {
    return report.gates().stream()
        .filter(gate -> gate.name().equals("as good as the fine-tuned model"))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void aLimitThatIsNoNumberOrNegativeIsRefusedByName() {
    for (double limit : new double[] {-1e-9, Double.NaN, 101}) {
      assertThatThrownBy(() -> new GateOptions(directory, directory, .1, limit, .1, List.of()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("the task tolerance is " + limit);
    }
  }

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

  private GateReport measure(Judge judge, TransferRequest request) {
    return measure(judge, request, directory.resolve("merged"));
  }

  private GateReport measure(Judge judge, TransferRequest request, Path merged) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, merged, MergeOptions.defaults(), MergeProgress.NONE);
    }
    return gates(judge).measure(request, merged, directory.resolve("scratch"));
  }

  private Gates gates(Judge judge) {
    GateOptions options = GateOptions.of(directory.resolve("task"), directory.resolve("general"));
    return new Gates(judge, options, MergeOptions.defaults(), what -> {});
  }

  private static GateReport.Gate gate(GateReport report, String name) {
    return report.gates().stream()
        .filter(gate -> gate.name().equals(name))
        .findFirst()
        .orElseThrow();
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

  @Test
  void whatCanNotBeTransferredIsRefusedWithAllReasonsBeforeAnythingIsMeasured() throws IOException {
    String lacking = "model.layers.0.b";
    TransferRequest request =
        TransferRequest.of(
                new ModelFolder()
                    .add(ModelFolder.f32(WEIGHT, 1))
                    .add(ModelFolder.f32(lacking, 1))
                    .write(directory.resolve("b")),
                new ModelFolder()
                    .add(ModelFolder.f32(WEIGHT, 2))
                    .add(ModelFolder.f32(lacking, 2))
                    .write(directory.resolve("f")),
                model("t", 6))
            .withLambdas(List.of(Double.NaN));
    Judge nobody =
        (model, set) -> {
          throw new AssertionError("measured");
        };
    assertThatThrownBy(
            () ->
                new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(nobody))
                    .run(request, directory.resolve("out"), (manifest, report) -> {}))
        .isInstanceOfSatisfying(
            TransferException.class,
            refusal ->
                assertThat(refusal.reasons())
                    .containsExactly(
                        "lambda is NaN, but must be a finite number",
                        "'" + lacking + "' of the base model has no counterpart in the target",
                        "'"
                            + lacking
                            + "' of the fine-tuned model has no counterpart in the target"));
    assertThat(directory.resolve("out")).doesNotExist();
  }

  private GatedTransfer.Outcome gated(Judge judge, TransferRequest request, Path output) {
    return new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(judge))
        .run(request, output, (manifest, report) -> {});
  }

  /** Passes the gates: the target is worse than all others. */
  private static double better(Path model) {
    return model.endsWith("t") ? 3 : 1;
  }

  @Test
  void setsOrAJudgeThatFailAreFoundBeforeTheMerge() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    AtomicInteger merged = new AtomicInteger();
    Judge failing =
        (model, set) -> {
          throw new TransferException("the set has nothing to score");
        };
    GatedTransfer transfer =
        new GatedTransfer(
            MergeOptions.defaults(), (moved, total) -> merged.incrementAndGet(), gates(failing));
    assertThatThrownBy(() -> transfer.run(request, output, (manifest, report) -> {}))
        .isInstanceOf(TransferException.class)
        .hasMessage("the set has nothing to score");
    assertThat(merged).hasValue(0);
    assertThat(Candidate.isLeft(output)).isFalse();
    assertThat(output).doesNotExist();
  }

  @Test
  void gatesThatTheDiskHasNoRoomForAreRefusedBeforeAnythingIsMeasured() throws IOException {
    // One model has room, and a second one beside it does not.
    long elements = Files.getFileStore(directory).getUsableSpace() / 4 * 3 / 4;
    TransferRequest request =
        TransferRequest.of(
            Sparse.write(directory.resolve("b"), WEIGHT, elements),
            Sparse.write(directory.resolve("f"), WEIGHT, elements),
            Sparse.write(directory.resolve("t"), WEIGHT, elements));
    Path output = directory.resolve("out");
    assertThatThrownBy(
            () ->
                gated(
                    (model, set) -> {
                      throw new AssertionError("measured");
                    },
                    request,
                    output))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("one at a time that the gates measure need")
        .satisfies(e -> assertThat(((TransferException) e).mayPass()).isTrue());
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  @Test
  void asManyModelsLieOnTheDiskAtATimeAsHaveRoom() throws IOException {
    long usable = Files.getFileStore(directory).getUsableSpace();
    Path output = directory.resolve("out");
    assertThat(OutputState.fitting(1 << 20, output, 4)).isEqualTo(4);
    assertThat(OutputState.fitting(usable * 2 / 5, output, 4)).isEqualTo(2);
    assertThat(OutputState.fitting(usable * 2, output, 4)).isEqualTo(1);
  }

  @Test
  void aCandidateThatCouldNotBeMeasuredThisTimeIsTakenUpByTheNextRun() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    Path candidate = GatedTransfer.candidate(output);
    Path script = directory.resolve("judge.sh");
    Files.writeString(
        script,
        """
        case "$1" in
          *whence-candidate) exit 3 ;;
          *) echo 1 ;;
        esac
        """);
    Judge command = new CommandJudge(List.of("sh", script.toString()), Duration.ofMinutes(1));
    assertThatThrownBy(() -> gated(command, request, output))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("ended with status 3")
        .hasMessageContaining("the merged model stays in " + candidate)
        .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isFalse());
    Object merged = fileKey(candidate);

    assertThat(gated((model, set) -> better(model), request, output).published()).isTrue();
    assertThat(fileKey(output)).isEqualTo(merged); // renamed, not merged anew
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  private static Object fileKey(Path model) throws IOException {
    return Files.readAttributes(model.resolve(SafetensorsShards.SINGLE), BasicFileAttributes.class)
        .fileKey();
  }

  @Test
  void anEmptyDirectoryIsAnOutputWithGatesAsWithout() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = Files.createDirectory(directory.resolve("out"));
    assertThat(gated((model, set) -> better(model), request, output).published()).isTrue();
    assertThat(Manifest.read(output)).isPresent();

    Path occupied = Files.createDirectory(directory.resolve("occupied"));
    Files.writeString(occupied.resolve("something"), "else");
    assertThatThrownBy(() -> gated((model, set) -> better(model), request, occupied))
        .hasMessageContaining("exists and is not the result of this transfer");
  }

  @Test
  void aCandidateWhoseLossIsNoNumberIsRemoved() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    Judge judge =
        (model, set) -> {
          if (model.equals(GatedTransfer.candidate(output))) {
            throw new TransferException("no number");
          }
          return better(model);
        };
    assertThatThrownBy(() -> gated(judge, request, output)).hasMessage("no number");
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  private static ModelFolder.Raw bf16(String name, float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      bytes.putShort((short) (Float.floatToRawIntBits(value) >>> 16)); // all have it exactly
    }
    return new ModelFolder.Raw(name, "BF16", List.of((long) values.length), bytes.array());
  }

  @Test
  void identityHoldsWhereAWiderFIsRoundedOnceToTheTypeOfB() throws IOException {
    // 1 + 2^-8 + 2^-23 is just above the middle of two bf16 numbers, -0.0 is nothing that a sum
    // gives.
    Path b = new ModelFolder().add(bf16(WEIGHT, 1, 2, 0)).write(directory.resolve("b"));
    Path f =
        new ModelFolder()
            .add(ModelFolder.f32(WEIGHT, 1 + 0x1p-8f + 0x1p-23f, 1e30f, -0f))
            .write(directory.resolve("f"));
    Path t = new ModelFolder().add(bf16(WEIGHT, 4, 4, 4)).write(directory.resolve("t"));
    GateReport.Gate identity =
        gate(measure((model, set) -> 1, TransferRequest.of(b, f, t)), "identity");
    assertThat(identity.detail())
        .isEqualTo(
            "T := B gives F bit for bit in 3 elements, 3 of them with F rounded once to B's type");
    assertThat(identity.passed()).isTrue();
  }

  @Test
  void identityFailsWhereTheArithmeticDoesNotGiveF() throws IOException {
    // Infinity + (1 - infinity) is no number, and F's own bits are not of B's type.
    Path b =
        new ModelFolder()
            .add(bf16(WEIGHT, Float.POSITIVE_INFINITY, 1))
            .write(directory.resolve("b"));
    Path f = model("f", 1, 2);
    Path t = new ModelFolder().add(bf16(WEIGHT, 4, 4)).write(directory.resolve("t"));
    GateReport report =
        measure(
            (model, set) -> 1,
            TransferRequest.of(b, f, t)
                .withPolicies(Policies.of(Map.of("non-finite", "propagate"))));
    assertThat(gate(report, "identity").passed()).isFalse();
    assertThat(gate(report, "identity").detail())
        .startsWith("T := B differs from F in 1 of 2 elements, the first in " + WEIGHT);
    assertThat(report.passed()).isFalse();
  }

  @Test
  void whereNothingCanBeComparedOrMergedTheGatesSaySo() throws IOException {
    GateReport report =
        measure(
            (model, set) -> 1,
            TransferRequest.of(model("b", 1), model("f", 1, 2), model("t", 6))
                .withPolicies(Policies.of(Map.of("shapes", "target"))));
    assertThat(gate(report, "identity").passed()).isFalse();
    assertThat(gate(report, "identity").detail())
        .startsWith("nothing could be compared")
        .contains("1 floating point tensors of F are not in B");
    assertThat(gate(report, "agreement").passed()).isFalse();
    assertThat(gate(report, "agreement").detail())
        .startsWith("0 of the target's 1 floating point tensors are merged; not '" + WEIGHT + "'")
        .contains("shapes differ");
  }

  @Test
  void agreementNamesWhatAPolicyKeepsAndDrops() throws IOException {
    ModelFolder target = new ModelFolder().add(ModelFolder.f32(WEIGHT, 6));
    for (int i = 0; i < 5; i++) {
      target.add(ModelFolder.f32("own." + i, 1));
    }
    Path b =
        new ModelFolder()
            .add(ModelFolder.f32(WEIGHT, 1))
            .add(ModelFolder.f32("old", 1))
            .write(directory.resolve("b"));
    Path f =
        new ModelFolder()
            .add(ModelFolder.f32(WEIGHT, 2))
            .add(ModelFolder.f32("old", 2))
            .write(directory.resolve("f"));
    GateReport.Gate agreement =
        gate(
            measure(
                (model, set) -> 1,
                TransferRequest.of(b, f, target.write(directory.resolve("t")))
                    .withPolicies(Policies.of(Map.of("missing", "target")))),
            "agreement");
    assertThat(agreement.passed()).isTrue();
    assertThat(agreement.detail())
        .startsWith("1 of the target's 6 floating point tensors are merged; not 'own.0' (")
        .contains("'own.1'", "'own.2'")
        .doesNotContain("own.3")
        .endsWith(" and 2 more; dropped 'old'");
  }

  @Test
  void aSweepHasAtMostSixteenDifferentFiniteValues() {
    GateOptions options = GateOptions.of(directory, directory);
    List<Double> most = IntStream.range(0, 16).mapToObj(i -> i / 10.).toList();
    assertThat(options.withSweep(most).sweep()).isEqualTo(most);
    List<Double> wrong = new ArrayList<>(most);
    wrong.addAll(List.of(.5, .5, Double.NaN, Double.NEGATIVE_INFINITY));
    String sentence =
        "the sweep has 20 values, 0.5 more than once, the value NaN, the value -Infinity, but must"
            + " be at most 16 different finite numbers";
    assertThatThrownBy(() -> options.withSweep(wrong))
        .isInstanceOf(TransferException.class)
        .hasMessage(sentence);
    assertThatThrownBy(() -> new GateOptions(directory, directory, .1, .1, .1, wrong))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(sentence);
  }

  @Test
  void theReportIsOnePageWithCurvesAndVerdicts() throws IOException {
    GateReport report = measure((model, set) -> 10 - x(model), List.of(.5), 1, 2, 6);
    String html =
        TransferReport.html(
            Manifest.read(directory.resolve("merged")).orElseThrow(),
            report,
            GateOptions.of(directory, directory));
    assertThat(html).contains("<svg").contains("polyline").contains("identity").contains("passed");
    assertThat(html).doesNotContain("http://www.w3.org/1999").doesNotContain("<script");
  }
}
