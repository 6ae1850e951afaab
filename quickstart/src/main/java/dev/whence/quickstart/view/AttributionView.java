package dev.whence.quickstart.view;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.ScorerDescription;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.ReasoningScore;
import dev.whence.schemas.avro.ScorerProvenance;
import dev.whence.schemas.avro.SourceScore;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What is shown of one attribution, whether it comes from a topic or straight from the attributor.
 *
 * @param conversation the prompt and the response that it is about
 * @param status SCORED, SAMPLED_OUT, UNSUPPORTED or FAILED
 * @param reason why, empty for a plain SCORED
 * @param method "exact-loo", ...
 * @param scorer model and dtype, empty if nothing was scored
 * @param surrogate whether the scorer stands in for the production model
 * @param sources in order of the prompt
 * @param groups sources that say nearly the same
 * @param groundedness nats
 * @param groundednessPerToken nats per token of the response
 * @param noiseFloor |tau| below this is numerical noise, nats
 * @param reasoning what the model thought before it answered, scored apart; empty if there is none
 * @param path how fast path and target came to it; empty where only one of them is at work
 * @param tokens tokens computed, trunks and branches
 * @param seconds wall time of the model
 * @param top only so many sources with the largest tau are shown; 0: all have their colour, and the
 *     strongest three their rank
 */
public record AttributionView(
    Conversation conversation,
    AttributionStatus status,
    String reason,
    String method,
    String scorer,
    boolean surrogate,
    List<Source> sources,
    List<Group> groups,
    OptionalDouble groundedness,
    OptionalDouble groundednessPerToken,
    OptionalDouble noiseFloor,
    Optional<Reasoning> reasoning,
    String path,
    long tokens,
    double seconds,
    int top) {

  /**
   * A scored span.
   *
   * @param segment id of the part it is in
   * @param span of the part's text
   * @param tau nats
   */
  public record Source(String segment, Span span, double tau) {}

  /**
   * Sources that say nearly the same.
   *
   * @param sources their indices, from 0
   * @param tau of all of them, left out at once, nats
   */
  public record Group(List<Integer> sources, double tau) {
    public Group {
      sources = List.copyOf(sources);
    }
  }

  /**
   * Reasoning before the answer.
   *
   * @param tokens how many
   * @param groundedness nats
   * @param groundednessPerToken nats per token of the reasoning
   * @param strongest sources that drove it by more than noise, with their tau of the reasoning; the
   *     strongest first, at most three
   */
  public record Reasoning(
      int tokens,
      OptionalDouble groundedness,
      OptionalDouble groundednessPerToken,
      List<Source> strongest) {
    private static final int MOST = 3;

    public Reasoning {
      strongest = List.copyOf(strongest);
    }

    private static List<Source> strongest(Stream<Source> sources, double noiseFloor) {
      return sources
          .filter(source -> source.tau() > noiseFloor)
          .sorted(Comparator.comparingDouble(source -> -source.tau()))
          .limit(MOST)
          .toList();
    }
  }

  public AttributionView {
    sources = List.copyOf(sources);
    groups = List.copyOf(groups);
  }

  /** All sources. */
  public AttributionView(
      Conversation conversation,
      AttributionStatus status,
      String reason,
      String method,
      String scorer,
      boolean surrogate,
      List<Source> sources,
      List<Group> groups,
      OptionalDouble groundedness,
      OptionalDouble groundednessPerToken,
      OptionalDouble noiseFloor,
      Optional<Reasoning> reasoning,
      String path,
      long tokens,
      double seconds) {
    this(
        conversation,
        status,
        reason,
        method,
        scorer,
        surrogate,
        sources,
        groups,
        groundedness,
        groundednessPerToken,
        noiseFloor,
        reasoning,
        path,
        tokens,
        seconds,
        0);
  }

  /** The same with only so many sources shown; 0: all. */
  public AttributionView withTop(int most) {
    return new AttributionView(
        conversation,
        status,
        reason,
        method,
        scorer,
        surrogate,
        sources,
        groups,
        groundedness,
        groundednessPerToken,
        noiseFloor,
        reasoning,
        path,
        tokens,
        seconds,
        most);
  }

  /** Whether some sources are not shown. */
  boolean isCut() {
    return top > 0 && top < sources.size();
  }

  /** Of the attributor's own result. */
  public static AttributionView of(Conversation conversation, AttributionResult result) {
    ScorerDescription scorer = result.scorer();
    return new AttributionView(
        conversation,
        result.status(),
        result.reason(),
        result.method(),
        scorer == null ? "" : scorer.model() + " " + scorer.dtype(),
        result.surrogate(),
        result.sources().stream()
            .map(source -> new Source(source.segment(), source.span(), source.tau()))
            .toList(),
        result.groups().stream().map(g -> new Group(g.sources(), g.tau())).toList(),
        result.groundedness(),
        result.groundednessPerToken(),
        result.noiseFloor(),
        result.reasoning().map(reasoning -> reasoning(reasoning, result)),
        "",
        result.cost().trunkTokens() + result.cost().branchTokens(),
        result.cost().seconds());
  }

  private static Reasoning reasoning(
      AttributionResult.Reasoning reasoning, AttributionResult result) {
    Stream<Source> sources =
        result.sources().stream()
            .filter(source -> source.reasoningTau().isPresent())
            .map(
                source ->
                    new Source(
                        source.segment(), source.span(), source.reasoningTau().getAsDouble()));
    return new Reasoning(
        reasoning.tokens(),
        reasoning.groundedness(),
        reasoning.groundednessPerToken(),
        Reasoning.strongest(sources, reasoning.noiseFloor()));
  }

  /**
   * Of a record on the attributions topic.
   *
   * @throws IllegalArgumentException if the record holds a status or a span that this version does
   *     not know
   */
  public static AttributionView of(Conversation conversation, Attribution record) {
    ScorerProvenance scorer = record.getScorer();
    var cost = record.getCost();
    return new AttributionView(
        conversation,
        AttributionStatus.valueOf(record.getStatus().name()),
        record.getReason(),
        record.getMethod(),
        scorer == null ? "" : scorer.getModel() + " " + scorer.getDtype(),
        scorer != null && scorer.getSurrogate(),
        record.getSources().stream()
            .map(
                source ->
                    new Source(
                        source.getSegment(),
                        new Span(source.getStart(), source.getEnd()),
                        source.getTau()))
            .toList(),
        record.getGroups().stream().map(g -> new Group(g.getSources(), g.getTau())).toList(),
        optional(record.getGroundedness()),
        optional(record.getGroundednessPerToken()),
        optional(record.getNoiseFloor()),
        Optional.ofNullable(record.getReasoning()).map(reasoning -> reasoning(reasoning, record)),
        path(record),
        cost == null ? 0 : cost.getTrunkTokens() + cost.getBranchTokens(),
        cost == null ? 0 : cost.getSeconds());
  }

  private static Reasoning reasoning(ReasoningScore reasoning, Attribution record) {
    List<Source> sources = new ArrayList<>();
    for (SourceScore source : record.getSources()) {
      Double tau = source.getReasoningTau();
      if (tau != null) {
        sources.add(
            new Source(source.getSegment(), new Span(source.getStart(), source.getEnd()), tau));
      }
    }
    return new Reasoning(
        reasoning.getTokens(),
        optional(reasoning.getGroundedness()),
        optional(reasoning.getGroundednessPerToken()),
        Reasoning.strongest(sources.stream(), reasoning.getNoiseFloor()));
  }

  /** The TARGET role's revisions are odd. */
  private static String path(Attribution record) {
    Double confidence = record.getConfidence();
    String sure =
        confidence == null ? "" : String.format(Locale.ROOT, ", %.0f %% sure", 100 * confidence);
    if (record.getRevision() % 2 == 0) {
      return confidence == null ? "" : "fast path" + sure;
    }
    if (record.getReasonCode().matches("OVER_BUDGET|ESCALATION_EXPIRED|TARGET_.*")) {
      return "fast path, and the target did not look" + sure;
    }
    Boolean agreed = record.getAgreed();
    String compared =
        agreed == null
            ? ""
            : agreed ? ", and the fast path was right" : ", and the fast path was wrong";
    return "target asked" + (sure.isEmpty() ? "" : " (fast path" + sure + ")") + compared;
  }

  private static OptionalDouble optional(@Nullable Double value) {
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }
}
