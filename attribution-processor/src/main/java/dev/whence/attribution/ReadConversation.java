package dev.whence.attribution;

import dev.whence.attribution.method.AttributionMethod;
import dev.whence.conversation.Conversation;
import dev.whence.engine.WorkEstimate;
import java.util.Optional;
import java.util.Set;

/**
 * A conversation that {@link Attributor#read} has rendered, tokenised and cut into sources, ready
 * to be scored by the same attributor, once. Reading costs milliseconds and tells the cost of
 * scoring.
 */
public final class ReadConversation {
  private final Conversation conversation;
  private final Optional<Ready> ready;
  private final Optional<AttributionResult> refusal;
  private final WorkEstimate estimate;
  private final long nanos;

  /** What is to be scored, and how. */
  record Ready(TaskReader.ReadTask read, AttributionMethod method, NoiseFloor noise) {}

  ReadConversation(Conversation conversation, Ready ready, WorkEstimate estimate, long nanos) {
    this.conversation = conversation;
    this.ready = Optional.of(ready);
    this.refusal = Optional.empty();
    this.estimate = estimate;
    this.nanos = nanos;
  }

  ReadConversation(Conversation conversation, AttributionResult refusal) {
    this.conversation = conversation;
    this.ready = Optional.empty();
    this.refusal = Optional.of(refusal);
    this.estimate = new WorkEstimate(0, 0, 0);
    this.nanos = 0;
  }

  /** What scoring will cost; nothing where it is refused. */
  public WorkEstimate estimate() {
    return estimate;
  }

  /** What the reading has noticed; scoring may notice more. Nothing where it is refused. */
  public Set<AttributionNote> notes() {
    return ready.map(one -> Set.copyOf(one.read().notes())).orElse(Set.of());
  }

  Conversation conversation() {
    return conversation;
  }

  Optional<Ready> ready() {
    return ready;
  }

  Optional<AttributionResult> refusal() {
    return refusal;
  }

  /** How long reading took. */
  long nanos() {
    return nanos;
  }
}
