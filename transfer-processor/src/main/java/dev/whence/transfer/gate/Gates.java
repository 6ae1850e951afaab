package dev.whence.transfer.gate;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.GateReport.Gate;
import dev.whence.transfer.gate.GateReport.ModelLoss;
import dev.whence.transfer.gate.GateReport.Point;
import dev.whence.transfer.merge.IdentityCheck;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.OutputState;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.StraightWay;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The gates before publication (2503.20110, sections 4 and 5: a diff from a checkpoint that is not
 * linearly connected to the target destroyed the model).
 *
 * <ul>
 *   <li><b>identity</b>: with T := B the arithmetic gives F bit for bit, or F rounded once where B
 *       has another type.
 *   <li><b>agreement</b>: every floating point tensor of the target is merged, but for those that a
 *       policy keeps as they are; these and what is dropped are named.
 *   <li><b>connectivity</b>: along {@code (1 - a) B + a T + lambda (F - B)}, from F at a = 0 (where
 *       lambda = 1) to M at a = 1, the barrier {@code max_a loss(a) - [(1 - a) loss(0) + a
 *       loss(1)]} over 11 points is within the limit, on both sets.
 *   <li><b>worth</b>: {@code task(M) < task(T)}; {@code task(M) <= (1 + e1) task(F)}; {@code
 *       general(M) / general(T) <= (1 + e2) general(F) / general(B)}.
 * </ul>
 *
 * <p>Linear connectivity is a property of weights in one function, so on the {@linkplain
 * StraightWay way} nothing but weights changes: all its points have the config, tokenizer, template
 * and end-of-sequence ids that M is released with. The loss at a = 0 is that of F's weights in
 * these; where F's own texts say the same, it is F's loss.
 *
 * <p>The way is made by the merge engine itself; up to four points at a time lie on disk, as many
 * as have room, in a scratch directory that is removed. Cost: 10 merges in 3 passes (10 where one
 * has room), those of the sweep, and 2 (10 + 4 + sweep) evaluations: the way's end is M, whose
 * losses are known.
 */
public final class Gates {
  private static final int STEPS = 10;
  private static final int AT_ONCE = 4;
  private static final int NAMED = 3;

  private final Judge judge;
  private final GateOptions options;
  private final MergeOptions merging;
  private final Consumer<String> progress;

  /**
   * @param merging how the models on the way are made
   * @param progress hears what is being measured
   */
  public Gates(Judge judge, GateOptions options, MergeOptions merging, Consumer<String> progress) {
    this.judge = judge;
    this.options = options;
    this.merging = merging.notDurable();
    this.progress = progress;
  }

  /**
   * Losses of the three models of a transfer: the base, the fine-tuned one and the target. They
   * need no merge, so sets and judge can show before it whether they are of any use.
   *
   * @throws TransferException if something can not be measured
   */
  List<ModelLoss> losses(TransferRequest request) {
    return List.of(
        losses("base", request.base().directory()),
        losses("fine-tuned", request.fineTuned().directory()),
        losses("target", request.target().directory()));
  }

  /** As {@link #measure(TransferRequest, List, Path, Path)}, with all that is needed for it. */
  public GateReport measure(TransferRequest request, Path merged, Path scratch) {
    return measure(request, losses(request), merged, scratch);
  }

  /**
   * Measures a transfer.
   *
   * @param request with the lambda that is to be published
   * @param known {@linkplain #losses(TransferRequest) losses} of its models
   * @param merged the transferred model, published or not
   * @param scratch a directory for models that are only measured; removed in the end
   * @throws TransferException if something can not be measured
   */
  GateReport measure(TransferRequest request, List<ModelLoss> known, Path merged, Path scratch) {
    double lambda = request.lambdas().get(0);
    List<Gate> gates = new ArrayList<>();
    progress.accept("identity");
    gates.add(
        identity(IdentityCheck.of(request.base().directory(), request.fineTuned().directory())));
    long bytes;
    try (TransferPlan plan = TransferPlan.of(request)) {
      gates.add(agreement(plan));
      bytes = plan.outputBytes();
    }
    List<ModelLoss> losses = new ArrayList<>(known);
    losses.add(losses("transferred", merged));
    List<Point> way;
    List<Point> sweep;
    GatedTransfer.delete(scratch); // what a killed run left
    try {
      int atOnce = OutputState.fitting(bytes, scratch, AT_ONCE);
      way = way(request, merged, losses.get(losses.size() - 1), atOnce, scratch);
      sweep =
          points(
              "sweep",
              options.sweep(),
              options.sweep(),
              some -> TransferPlan.of(request.withLambdas(some)),
              atOnce,
              scratch);
    } finally {
      GatedTransfer.delete(scratch);
    }
    double task = barrier(way, Point::task);
    double general = barrier(way, Point::general);
    gates.add(
        new Gate(
            "connectivity",
            task <= options.barrierLimit() && general <= options.barrierLimit(),
            text(
                "the barrier from %s to M is %.4f on the task set and %.4f on the general set, limit"
                    + " %.4f nats per token",
                lambda == 1 ? "F" : "B + lambda (F - B)", task, general, options.barrierLimit())));
    gates.addAll(worth(losses));
    return new GateReport(lambda, gates, losses, way, task, general, sweep);
  }

  /**
   * Refuses what could not be measured, before hours are spent. The transfer itself decides: a
   * sweep differs from it in lambdas alone, which {@link GateOptions} has checked, and the way
   * follows its plan tensor by tensor.
   *
   * @throws TransferException with all reasons
   */
  void check(TransferRequest request) {
    TransferPlan.of(request).close();
  }

  private static Gate identity(IdentityCheck.Result result) {
    String said;
    if (result.elements() == 0) {
      said = "nothing could be compared";
    } else if (result.different() > 0) {
      said =
          "T := B differs from F in "
              + result.different()
              + " of "
              + result.elements()
              + " elements, the first in "
              + result.first();
    } else {
      said = "T := B gives F bit for bit in " + result.elements() + " elements";
    }
    if (result.rounded() > 0) {
      said += ", " + result.rounded() + " of them with F rounded once to B's type";
    }
    if (result.leftOut() > 0 || result.elements() == 0) {
      said +=
          ": "
              + result.leftOut()
              + " floating point tensors of F are not in B, or have another shape there";
    }
    return new Gate("identity", result.different() == 0 && result.elements() > 0, said);
  }

  private List<Point> way(
      TransferRequest request, Path merged, ModelLoss transferred, int atOnce, Path scratch) {
    List<Double> at = IntStream.range(0, STEPS).mapToObj(i -> i / (double) STEPS).toList();
    List<Double> left =
        IntStream.range(0, STEPS).mapToObj(i -> (STEPS - i) / (double) STEPS).toList();
    List<Point> way =
        points(
            "connectivity",
            at,
            left,
            some -> StraightWay.plan(request, merged, some),
            atOnce,
            scratch);
    way.add(new Point(1, transferred.task(), transferred.general()));
    return way;
  }

  private static Gate agreement(TransferPlan plan) {
    List<TransferPlan.Line> floats = new ArrayList<>();
    List<TransferPlan.Line> kept = new ArrayList<>();
    List<TransferPlan.Line> dropped = new ArrayList<>();
    for (TransferPlan.Line line : plan.lines()) {
      if (SafetensorsShards.isBuffer(line.tensor())) {
        continue; // the config determines it, whatever is stored
      }
      if (line.policy().equals("drop")) {
        dropped.add(line);
      } else if (isFloat(line.dtype())) {
        floats.add(line);
        if (!line.policy().startsWith("merge")) {
          kept.add(line);
        }
      }
    }
    // What is kept is so by a policy: the plan refuses everything else.
    int merged = floats.size() - kept.size();
    return new Gate(
        "agreement",
        merged > 0,
        merged
            + " of the target's "
            + floats.size()
            + " floating point tensors are merged"
            + named("; not ", kept, line -> "'" + line.tensor() + "' (" + line.policy() + ")")
            + named("; dropped ", dropped, line -> "'" + line.tensor() + "'"));
  }

  private static boolean isFloat(String dtype) {
    return Stream.of(ElementType.values()).anyMatch(type -> type.name().equals(dtype));
  }

  private static String named(
      String what, List<TransferPlan.Line> lines, Function<TransferPlan.Line, String> one) {
    if (lines.isEmpty()) {
      return "";
    }
    String some = lines.stream().limit(NAMED).map(one).collect(Collectors.joining(", "));
    return what + some + (lines.size() > NAMED ? " and " + (lines.size() - NAMED) + " more" : "");
  }

  private ModelLoss losses(String name, Path model) {
    progress.accept("loss of the " + name + " model");
    return new ModelLoss(
        name, judge.loss(model, options.taskSet()), judge.loss(model, options.generalSet()));
  }

  /**
   * Measures models that are made for it.
   *
   * @param at where they stand in the report
   * @param lambdas of each, for its plan
   * @param planning plans those of some lambdas
   * @param atOnce how many lie on the disk at a time
   */
  private List<Point> points(
      String what,
      List<Double> at,
      List<Double> lambdas,
      Function<List<Double>, TransferPlan> planning,
      int atOnce,
      Path scratch) {
    List<Point> points = new ArrayList<>();
    for (int from = 0; from < lambdas.size(); from += atOnce) {
      Path output = scratch.resolve(what + "-" + from);
      List<Double> some = lambdas.subList(from, Math.min(lambdas.size(), from + atOnce));
      try (TransferPlan plan = planning.apply(some)) {
        Published made = MergeRun.run(plan, output, merging, MergeProgress.NONE);
        for (Published.Model model : made.models()) {
          double here = at.get(points.size());
          progress.accept(text("%s at %.2f", what, here));
          points.add(
              new Point(
                  here,
                  judge.loss(model.directory(), options.taskSet()),
                  judge.loss(model.directory(), options.generalSet())));
        }
      } finally {
        GatedTransfer.delete(output);
      }
    }
    return points;
  }

  /** How far the worst point lies above the straight line between the ends. */
  static double barrier(List<Point> way, ToDoubleFunction<Point> loss) {
    double first = loss.applyAsDouble(way.get(0));
    double last = loss.applyAsDouble(way.get(way.size() - 1));
    return way.stream()
        .mapToDouble(
            point -> loss.applyAsDouble(point) - ((1 - point.at()) * first + point.at() * last))
        .max()
        .orElse(0);
  }

  private List<Gate> worth(List<ModelLoss> losses) {
    Function<String, ModelLoss> of =
        name -> losses.stream().filter(loss -> loss.model().equals(name)).findFirst().orElseThrow();
    ModelLoss b = of.apply("base");
    ModelLoss f = of.apply("fine-tuned");
    ModelLoss t = of.apply("target");
    ModelLoss m = of.apply("transferred");
    double forgotten = m.general() / t.general();
    double allowed = (1 + options.generalTolerance()) * f.general() / b.general();
    double most = (1 + options.taskTolerance()) * f.task();
    return List.of(
        new Gate(
            "better than the target",
            m.task() < t.task(),
            text("task loss %.4f, the target's is %.4f nats per token", m.task(), t.task())),
        new Gate(
            "as good as the fine-tuned model",
            isWithin(m.task(), f.task(), options.taskTolerance()),
            text(
                "task loss %.4f, at most %.4f nats per token is (1 + %.2f) times the fine-tuned"
                    + " model's%s",
                m.task(),
                most,
                options.taskTolerance(),
                needed(m.task(), f.task(), options.taskTolerance()))),
        new Gate(
            "nothing forgotten",
            forgotten <= allowed,
            text(
                "general loss is %.4f times the target's, at most %.4f is (1 + %.2f) times what"
                    + " fine-tuning did to the base",
                forgotten, allowed, options.generalTolerance())));
  }

  /**
   * A multiple of next to nothing says little, so a failure says which tolerance it takes: the
   * smallest in hundredths that passes, if it is one that would be taken.
   */
  static String needed(double loss, double ofFineTuned, double tolerance) {
    double share = loss / ofFineTuned - 1;
    if (isWithin(loss, ofFineTuned, tolerance)
        || !(ofFineTuned > 0 && share <= GateOptions.LARGEST_LIMIT)) {
      return "";
    }
    long hundredths = Math.max(0, (long) Math.floor(share * 100) - 1); // as far as rounding may err
    while (!isWithin(loss, ofFineTuned, hundredths / 100.)) {
      hundredths++;
    }
    return hundredths / 100. > GateOptions.LARGEST_LIMIT
        ? ""
        : text("; it takes a task tolerance of %.2f", hundredths / 100.);
  }

  private static boolean isWithin(double loss, double ofFineTuned, double tolerance) {
    return loss <= (1 + tolerance) * ofFineTuned;
  }

  private static String text(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
