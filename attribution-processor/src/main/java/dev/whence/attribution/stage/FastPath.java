package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionNote;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Refusal;
import dev.whence.attribution.confidence.Calibration;
import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.attribution.confidence.Features;
import dev.whence.attribution.confidence.TopSources;
import dev.whence.conversation.Conversation;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Decides whether a fast result is final.
 *
 * <ol>
 *   <li>Requested: the response has an attribute that asks for the target, whatever the fast path
 *       made of it.
 *   <li>By its own reason code: UNSUPPORTED for a reason that is the fast model's and not the
 *       response's ({@link Refusal#isOfModel}), such as its window; the target may score it. What
 *       it refuses, too, is final.
 *   <li>Windowed: sources were left out of the prompt; the target may have room for them.
 *   <li>Not read: the fast model's vocabulary can not spell the text, so its scores mean nothing.
 *   <li>Shadow: drawn by a hash of the responseId, to measure how often the target agrees.
 *   <li>Uncalibrated: too little was measured yet.
 *   <li>Larger than measured: larger than all responses that both have scored.
 *   <li>Low confidence: among those without which the agreement wanted is shown to be kept, see
 *       {@link Calibration}.
 * </ol>
 *
 * Owned by the model thread.
 */
final class FastPath {
  static final String REQUESTED = "REQUESTED";
  static final String SHADOW = "SHADOW";
  static final String UNCALIBRATED = "UNCALIBRATED";
  static final String LOW_CONFIDENCE = "LOW_CONFIDENCE";
  static final String LARGER_THAN_MEASURED = "LARGER_THAN_MEASURED";
  static final String WINDOWED = "WINDOWED";
  static final String NOT_READ = "NOT_READ";

  private final EscalationOptions options;
  private final Calibrator calibrator;

  /** What becomes of a fast result. */
  sealed interface Verdict {
    /** Calibrated probability that the target agrees; empty while too little was measured. */
    OptionalDouble confidence();
  }

  /** It stands. */
  record Stands(OptionalDouble confidence) implements Verdict {}

  /**
   * The target is to look, too.
   *
   * @param code why
   * @param urgent whether somebody asked for it
   * @param candidates indices of the sources to score again, the strongest first; empty: all
   * @param features that the confidence is computed from
   * @param wouldStand whether the result would have stood, had it not been drawn
   */
  record Escalated(
      String code,
      boolean urgent,
      List<Integer> candidates,
      Map<String, Double> features,
      boolean wouldStand,
      OptionalDouble confidence)
      implements Verdict {}

  FastPath(EscalationOptions options, Calibrator calibrator) {
    this.options = options;
    this.calibrator = calibrator;
  }

  EscalationOptions options() {
    return options;
  }

  /** Whether what was measured of such an escalation holds for all traffic. */
  static boolean drawn(String code) {
    return code.equals(SHADOW) || code.equals(UNCALIBRATED);
  }

  /**
   * The method that a result's agreement with the target is measured under. Scores that a clock
   * ended agree less often than whole ones: apart.
   */
  static String measuredAs(AttributionResult result) {
    return measuredAs(
        result.method(), result.flags().contains(AttributionNote.DEADLINE_REACHED.name()));
  }

  static String measuredAs(String method, boolean ended) {
    return ended ? method + ", ended by the clock" : method;
  }

  /**
   * Judges a result that is SCORED or UNSUPPORTED.
   *
   * @param scorer that gave it, by its name in the {@link Calibrator}
   */
  Verdict judge(Conversation conversation, AttributionResult result, String scorer) {
    boolean requested = requested(conversation);
    if (result.status() == AttributionStatus.UNSUPPORTED && !requested) {
      return Refusal.of(result.reasonCode()).filter(why -> why.isOfModel(conversation)).isPresent()
          ? unmeasured(result.reasonCode(), false)
          : new Stands(OptionalDouble.empty());
    }
    // No agreement is measured where nothing was scored, or not all of the prompt was read.
    boolean read = !result.flags().contains(AttributionNote.TEXT_NOT_READ.name());
    if (!result.leftOut().isEmpty() || result.sources().isEmpty() || !read) {
      if (requested) {
        return unmeasured(REQUESTED, true);
      }
      if (!read && !result.sources().isEmpty()) {
        return unmeasured(NOT_READ, false);
      }
      return result.leftOut().isEmpty()
          ? new Stands(OptionalDouble.empty()) // nothing that could be found otherwise
          : unmeasured(WINDOWED, false);
    }
    Map<String, Double> features = Features.of(result, conversation.response());
    double[] vector = Pair.of(features, false, false).features();
    Calibrator.Known known = calibrator.known(scorer);
    OptionalDouble confidence = known.confidence(vector);
    boolean keeps = known.keeps(vector);
    if (requested) {
      return new Escalated(REQUESTED, true, List.of(), features, keeps, confidence);
    }
    if (Sampling.share("shadow:" + conversation.responseId()) < options.shadowShare()) {
      return new Escalated(SHADOW, false, List.of(), features, keeps, confidence);
    }
    if (!known.calibrated()) {
      return new Escalated(UNCALIBRATED, false, List.of(), features, false, confidence);
    }
    if (keeps) {
      return new Stands(confidence);
    }
    String code = known.covers(vector) ? LOW_CONFIDENCE : LARGER_THAN_MEASURED;
    return new Escalated(code, false, candidates(result), features, false, confidence);
  }

  private static Escalated unmeasured(String code, boolean urgent) {
    return new Escalated(code, urgent, List.of(), Map.of(), false, OptionalDouble.empty());
  }

  /** Whether the response has an attribute that asks for the target. */
  boolean requested(Conversation conversation) {
    return options.requested().entrySet().stream()
        .anyMatch(
            wanted -> wanted.getValue().equals(conversation.attributes().get(wanted.getKey())));
  }

  private List<Integer> candidates(AttributionResult result) {
    double[] taus = result.sources().stream().mapToDouble(SourceScore::tau).toArray();
    return TopSources.ranked(taus, options.candidates());
  }
}
