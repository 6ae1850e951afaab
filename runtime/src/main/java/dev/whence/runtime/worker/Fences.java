package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.OptionalLong;
import java.util.function.LongSupplier;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * Tells two processes of one name from a process that was replaced. A producer that takes over a
 * transactional id fences the one before it. Once is what a restart does; two that run beside each
 * other do it for ever, and nobody gets on.
 */
public final class Fences {
  private static final Duration TWICE_WITHIN = Duration.ofMinutes(5);

  private final String group;
  private final String instance;
  private final LongSupplier now;
  private OptionalLong last = OptionalLong.empty();

  /**
   * Of a process that was not fenced yet.
   *
   * @param group consumer group
   * @param instance the process's instance.id
   */
  public Fences(String group, String instance) {
    this(group, instance, System::nanoTime);
  }

  /**
   * @param now in nanoseconds
   */
  Fences(String group, String instance, LongSupplier now) {
    this.group = group;
    this.instance = instance;
    this.now = now;
  }

  /**
   * Whether an error says that another producer took over; or that the coordinator has ended a
   * transaction that was open for too long, which is told in the same way.
   */
  public static boolean isFence(KafkaException e) {
    return isOne(e) || (e.getCause() instanceof KafkaException inner && isOne(inner));
  }

  private static boolean isOne(KafkaException e) {
    return e instanceof ProducerFencedException || e instanceof InvalidProducerEpochException;
  }

  /**
   * This process was fenced.
   *
   * @throws WorkerException if it was so within the last five minutes, too
   */
  public void fenced(RuntimeException cause) {
    long at = now.getAsLong();
    if (last.isPresent() && at - last.getAsLong() < TWICE_WITHIN.toNanos()) {
      throw new WorkerException(
          "another process uses instance.id "
              + instance
              + " in group "
              + group
              + " (this one was fenced twice within five minutes); give each its own",
          cause);
    }
    last = OptionalLong.of(at);
  }
}
