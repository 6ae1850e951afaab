package dev.whence.engine;

/**
 * What scoring costs, estimated before it is spent.
 *
 * @param tokens own tokens that linear layers see, trunk and branches together
 * @param flops floating point operations of linear layers, attention and scored logits (2 per
 *     multiply-add)
 * @param seconds predicted wall time, from the rates measured on this device so far
 */
public record WorkEstimate(long tokens, double flops, double seconds) {
  public WorkEstimate plus(WorkEstimate other) {
    return new WorkEstimate(tokens + other.tokens, flops + other.flops, seconds + other.seconds);
  }

  public WorkEstimate minus(WorkEstimate other) {
    return new WorkEstimate(tokens - other.tokens, flops - other.flops, seconds - other.seconds);
  }

  /** So many times as much, or so large a part of it. */
  public WorkEstimate times(double factor) {
    return new WorkEstimate(Math.round(tokens * factor), flops * factor, seconds * factor);
  }
}
