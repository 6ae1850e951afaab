package dev.whence.transfer.gate;

import java.util.List;

/**
 * All that was measured of a transfer.
 *
 * @param lambda factor of the transfer that was measured
 * @param gates the verdicts, in the order in which they were made
 * @param losses of base, fine-tuned, target and transferred model
 * @param connectivity losses along the way from F to M, see {@link Gates}
 * @param barrierTask nats per token
 * @param barrierGeneral nats per token
 * @param sweep losses of the transferred model by lambda
 */
public record GateReport(
    double lambda,
    List<Gate> gates,
    List<ModelLoss> losses,
    List<Point> connectivity,
    double barrierTask,
    double barrierGeneral,
    List<Point> sweep) {

  /**
   * A verdict.
   *
   * @param detail the inequality with its numbers, one sentence
   */
  public record Gate(String name, boolean passed, String detail) {}

  /** Losses of a model, nats per token. */
  public record ModelLoss(String model, double task, double general) {}

  /** Losses at a place: a fraction of the way, or a lambda. Nats per token. */
  public record Point(double at, double task, double general) {}

  public GateReport {
    gates = List.copyOf(gates);
    losses = List.copyOf(losses);
    connectivity = List.copyOf(connectivity);
    sweep = List.copyOf(sweep);
  }

  /** Whether the transfer may be published. */
  public boolean passed() {
    return gates.stream().allMatch(Gate::passed);
  }
}
