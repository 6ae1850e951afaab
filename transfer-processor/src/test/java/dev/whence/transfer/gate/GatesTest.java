package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Scale;
import org.junit.jupiter.api.Test;

/** What the gates measure of a transfer, and what they make of it. */
class GatesTest extends TinyTransfer {
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
