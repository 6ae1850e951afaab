package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.GateReport.Gate;
import dev.whence.transfer.gate.GateReport.ModelLoss;
import dev.whence.transfer.gate.GateReport.Point;
import dev.whence.transfer.merge.IdentityCheck;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * The gates before publication (2503.20110, sections 4 and 5: a diff from a checkpoint that is not
 * linearly connected to the target destroyed the model).
 *
 * <ul>
 *   <li><b>identity</b>: with T := B the arithmetic gives F bit for bit.
 *   <li><b>agreement</b>: every tensor of the target is merged; what policies let pass is counted.
 *   <li><b>connectivity</b>: along {@code (1 - a) B + a T + delta}, from F at a = 0 to M at a = 1,
 *       the barrier {@code max_a loss(a) - [(1 - a) loss(0) + a loss(1)]} over 11 points is within
 *       the limit, on both sets.
 *   <li><b>worth</b>: {@code task(M) < task(T)}; {@code task(M) <= (1 + e1) task(F)}; {@code
 *       general(M) / general(T) <= (1 + e2) general(F) / general(B)}.
 * </ul>
 *
 * <p>The way is made by the merge engine itself, as a transfer of T - B to F with lambda = a; some
 * points at a time lie on disk, in a scratch directory that is removed. Cost: 11 merges and 2 (11 +
 * 4 + sweep) evaluations.
 */
public final class Gates {
  private static final int POINTS = 11;
  private static final int AT_ONCE = 4;

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
   * Measures a transfer.
   *
   * @param request with the lambda that is to be published
   * @param merged the transferred model, published or not
   * @param scratch a directory for models that are only measured; removed in the end
   * @throws TransferException if something can not be measured
   */
  public GateReport measure(TransferRequest request, Path merged, Path scratch) {
    double lambda = request.lambdas().get(0);
    List<Gate> gates = new ArrayList<>();
    progress.accept("identity");
    IdentityCheck.Result identity =
        IdentityCheck.of(request.base().directory(), request.fineTuned().directory());
    gates.add(
        new Gate(
            "identity",
            identity.different() == 0 && identity.elements() > 0,
            identity.different() == 0
                ? "T := B gives F bit for bit in " + identity.elements() + " elements"
                : "T := B differs from F in "
                    + identity.different()
                    + " elements, the first in "
                    + identity.first()));
    gates.add(agreement(request));
    List<ModelLoss> losses = new ArrayList<>();
    losses.add(losses("base", request.base().directory()));
    losses.add(losses("fine-tuned", request.fineTuned().directory()));
    losses.add(losses("target", request.target().directory()));
    losses.add(losses("transferred", merged));
    List<Point> way;
    List<Point> sweep;
    GatedTransfer.delete(scratch); // what a killed run left
    try {
      TransferRequest along = along(request, start(request, scratch));
      way =
          points(
              "connectivity",
              along,
              IntStream.range(0, POINTS).mapToObj(i -> i / (POINTS - 1.)).toList(),
              scratch);
      sweep = points("sweep", request, options.sweep(), scratch);
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
                "the barrier from B + lambda (F - B) to M is %.4f on the task set and %.4f on the general set, limit"
                    + " %.4f nats per token",
                task, general, options.barrierLimit())));
    gates.addAll(worth(losses));
    return new GateReport(lambda, gates, losses, way, task, general, sweep);
  }

  /**
   * Plans all that will be measured, and refuses what could not be, before hours are spent.
   *
   * @throws TransferException with all reasons
   */
  void check(TransferRequest request) {
    plan(along(request, request.fineTuned().directory()).withLambdas(List.of(1.)));
    for (int from = 0; from < options.sweep().size(); from += AT_ONCE) {
      plan(request.withLambdas(atOnce(options.sweep(), from)));
    }
  }

  private static void plan(TransferRequest request) {
    TransferPlan.of(request).close();
  }

  private static List<Double> atOnce(List<Double> lambdas, int from) {
    return lambdas.subList(from, Math.min(lambdas.size(), from + AT_ONCE));
  }

  /** Where the way begins: B + lambda (F - B), which is F itself for lambda = 1. */
  private Path start(TransferRequest request, Path scratch) {
    if (request.lambdas().equals(List.of(1.))) {
      return request.fineTuned().directory();
    }
    Path output = scratch.resolve("start");
    TransferRequest onBase =
        new TransferRequest(
            request.base(),
            request.fineTuned(),
            /* target= */ request.base(),
            request.lambdas(),
            request.policies());
    try (TransferPlan plan = TransferPlan.of(onBase)) {
      MergeRun.run(plan, output, merging, MergeProgress.NONE);
    }
    return output;
  }

  /** T - B is added to the begin: the transfer with the target in the fine-tuned model's part. */
  private static TransferRequest along(TransferRequest request, Path start) {
    return new TransferRequest(
        request.base(),
        /* fineTuned= */ request.target(),
        TransferRequest.Input.of(start),
        List.of(),
        request.policies());
  }

  private static Gate agreement(TransferRequest request) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      long merged = plan.lines().stream().filter(line -> line.policy().startsWith("merge")).count();
      return new Gate(
          "agreement",
          merged > 0,
          merged + " of " + plan.lines().size() + " tensors are merged, the others by policy");
    }
  }

  private ModelLoss losses(String name, Path model) {
    progress.accept("loss of the " + name + " model");
    return new ModelLoss(
        name, judge.loss(model, options.taskSet()), judge.loss(model, options.generalSet()));
  }

  private List<Point> points(
      String what, TransferRequest request, List<Double> lambdas, Path scratch) {
    List<Point> points = new ArrayList<>();
    for (int from = 0; from < lambdas.size(); from += AT_ONCE) {
      List<Double> some = atOnce(lambdas, from);
      Path output = scratch.resolve(what + "-" + from);
      try (TransferPlan plan = TransferPlan.of(request.withLambdas(some))) {
        Published made = MergeRun.run(plan, output, merging, MergeProgress.NONE);
        for (Published.Model model : made.models()) {
          progress.accept(text("%s at %.2f", what, model.manifest().lambda()));
          points.add(
              new Point(
                  model.manifest().lambda(),
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
