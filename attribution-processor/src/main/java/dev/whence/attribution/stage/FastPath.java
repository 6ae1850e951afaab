package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.confidence.Calibration;
import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.attribution.confidence.Features;
import dev.whence.attribution.confidence.TopSources;
import dev.whence.conversation.Conversation;
import dev.whence.engine.ScorerDescription;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Decides whether a fast result is final.
 *
 * <ol>
 *   <li>Requested: the response has an attribute that asks for the target.
 *   <li>Shadow: drawn by a hash of the responseId, to measure how often the target agrees.
 *   <li>Uncalibrated: too little was measured yet.
 *   <li>Low confidence: among those that would pull the agreement below the one wanted, see {@link
 *       Calibration}.
 * </ol>
 *
 * Owned by the model thread.
 */
final class FastPath {
  static final String REQUESTED = "REQUESTED";
  static final String SHADOW = "SHADOW";
  static final String UNCALIBRATED = "UNCALIBRATED";
  static final String LOW_CONFIDENCE = "LOW_CONFIDENCE";

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
   */
  record Escalated(
      String code,
      boolean urgent,
      List<Integer> candidates,
      Map<String, Double> features,
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
   * Judges a scored result.
   *
   * @param scorer that gave it
   */
  Verdict judge(Conversation conversation, AttributionResult result, ScorerDescription scorer) {
    if (result.sources().isEmpty()) {
      return new Stands(OptionalDouble.empty()); // nothing that could be found otherwise
    }
    Map<String, Double> features = Features.of(result, conversation.response());
    Pair pair = Pair.of(features, false);
    Optional<Calibration> calibration =
        calibrator.calibration(new Calibrator.Scorer(scorer.digest(), result.method()));
    OptionalDouble confidence =
        calibration.isPresent()
            ? OptionalDouble.of(calibration.get().confidence(pair.features()))
            : OptionalDouble.empty();
    if (requested(conversation)) {
      return new Escalated(REQUESTED, true, List.of(), features, confidence);
    }
    if (Sampling.share("shadow:" + conversation.responseId()) < options.shadowShare()) {
      return new Escalated(SHADOW, false, List.of(), features, confidence);
    }
    if (calibration.isEmpty()) {
      return new Escalated(UNCALIBRATED, false, List.of(), features, confidence);
    }
    if (calibration.get().keeps(pair.features())) {
      return new Stands(confidence);
    }
    return new Escalated(LOW_CONFIDENCE, false, candidates(result), features, confidence);
  }

  private boolean requested(Conversation conversation) {
    return options.requested().entrySet().stream()
        .anyMatch(
            wanted -> wanted.getValue().equals(conversation.attributes().get(wanted.getKey())));
  }

  private List<Integer> candidates(AttributionResult result) {
    double[] taus = result.sources().stream().mapToDouble(SourceScore::tau).toArray();
    return TopSources.ranked(taus, options.candidates());
  }
}
