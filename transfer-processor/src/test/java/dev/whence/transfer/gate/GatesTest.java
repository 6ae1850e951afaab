package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
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
  private Path model(String name, float x) throws IOException {
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
  void a_straight_way_has_no_barrier_and_every_loss_is_in_the_report() throws IOException {
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
  void a_hill_on_the_way_is_the_barrier_and_rejects() throws IOException {
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
  void a_transfer_that_is_no_better_than_the_target_or_forgets_is_rejected() throws IOException {
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
  void the_task_tolerance_is_a_share_of_the_fine_tuned_models_loss() throws IOException {
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
  void the_tolerance_that_a_failure_names_passes_and_a_hundredth_less_does_not(
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
  void no_tolerance_is_named_that_would_not_be_taken_or_is_none() {
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
  void a_limit_that_is_no_number_or_negative_is_refused_by_name() {
    for (double limit : new double[] {-1e-9, Double.NaN, 101}) {
      assertThatThrownBy(() -> new GateOptions(directory, directory, .1, limit, .1, List.of()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("the task tolerance is " + limit);
    }
  }

  @Test
  void the_report_is_one_page_with_curves_and_verdicts() throws IOException {
    GateReport report = measure((model, set) -> 10 - x(model), List.of(.5), 1, 2, 6);
    String html =
        TransferReport.html(
            dev.whence.transfer.merge.Manifest.read(directory.resolve("merged")).orElseThrow(),
            report);
    assertThat(html).contains("<svg").contains("polyline").contains("identity").contains("passed");
    assertThat(html).doesNotContain("http://www.w3.org/1999").doesNotContain("<script");
  }

  @Test
  void an_external_judge_prints_one_number() throws IOException {
    Path script = directory.resolve("judge.sh");
    Files.writeString(script, "test -d \"$1\" && cat \"$2\"\n");
    Path set = Files.writeString(directory.resolve("set"), "1.25\n");
    Judge judge = new CommandJudge(List.of("sh", script.toString()), Duration.ofSeconds(20));
    assertThat(judge.loss(directory, set)).isEqualTo(1.25);
    Files.writeString(set, "no number");
    assertThatThrownBy(() -> judge.loss(directory, set))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("did not print one number");
    assertThatThrownBy(() -> judge.loss(directory.resolve("nowhere"), set))
        .hasMessageContaining("ended with status 1");
  }
}
