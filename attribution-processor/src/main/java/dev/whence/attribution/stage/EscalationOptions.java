package dev.whence.attribution.stage;

import dev.whence.attribution.Proportion;
import dev.whence.runtime.config.Settings;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * When the FAST role hands a response on to the TARGET role.
 *
 * @param agreement wanted of the results that are not handed on: share on which the target would
 *     agree, 0 to 1, at the low end of its 95 % interval
 * @param shadowShare share of the responses that are scored both ways whatever the fast result is,
 *     to measure the agreement
 * @param window pairs that the confidence is learnt from
 * @param leastPairs before there are so many, everything is handed on
 * @param candidates sources that the target is to score again; 0: all
 * @param deadline after this the target closes a response with the fast result
 * @param requested attributes of responses that are always handed on, as urgent, by name
 */
public record EscalationOptions(
    double agreement,
    double shadowShare,
    int window,
    int leastPairs,
    int candidates,
    Duration deadline,
    Map<String, String> requested) {
  private static final Logger LOG = LoggerFactory.getLogger(EscalationOptions.class);

  /** A share is known to about 2 points by so many: 1.96 sqrt(.94 * .06 / 540) = .020. */
  private static final int DEFAULT_LEAST_PAIRS = 540;

  private static final Duration SHORTEST = Duration.ofMillis(1);

  /** The topic of escalations keeps its records for 7 days: the end has to come before. */
  private static final Duration LONGEST = Duration.ofDays(6);

  public EscalationOptions {
    requested = Map.copyOf(requested);
  }

  /** What so many pairs show that all agree. */
  private static double reachable(int pairs) {
    return Proportion.of(pairs, pairs).low();
  }

  /** {@code escalation.*}; empty unless {@code escalation.enabled}. */
  static Optional<EscalationOptions> read(Settings settings) {
    boolean enabled = settings.flag("escalation.enabled", false);
    EscalationOptions options =
        new EscalationOptions(
            settings.number("escalation.agreement", 0.9, 0, 1),
            settings.number("escalation.shadow-share", 0.02, 0, 1),
            settings.integer("escalation.window", 2000, 10, 20_000),
            settings.integer("escalation.least-pairs", DEFAULT_LEAST_PAIRS, 10, 20_000),
            settings.integer("escalation.candidates", 8, 0, 10_000),
            settings.duration("escalation.deadline", Duration.ofMinutes(10), SHORTEST, LONGEST),
            new TreeMap<>(settings.named("escalation.request.attributes.")));
    if (options.leastPairs() > options.window()) {
      settings.problem(
          "escalation.least-pairs is "
              + options.leastPairs()
              + ", more than escalation.window, "
              + options.window());
    }
    if (enabled && options.shadowShare() == 0) {
      LOG.warn(
          "escalation.shadow-share is 0: once enough is measured, nothing is measured any more, so a"
              + " target that changes, or traffic that does, is not noticed");
    }
    if (enabled && options.agreement() > reachable(options.window())) {
      LOG.warn(
          "escalation.agreement is {}, but {} pairs that all agree show {} at most: everything is"
              + " handed on; a larger escalation.window shows more",
          options.agreement(),
          options.window(),
          String.format(Locale.ROOT, "%.4f", reachable(options.window())));
    }
    return enabled ? Optional.of(options) : Optional.empty();
  }
}
