package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.SourcePlace;
import dev.whence.conversation.Conversation;
import dev.whence.engine.ScorerDescription;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionCost;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.LeftOutSource;
import dev.whence.schemas.avro.ReasoningScore;
import dev.whence.schemas.avro.ScorerProvenance;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceGroup;
import dev.whence.schemas.avro.SourceScore;
import dev.whence.schemas.avro.StatementScore;
import dev.whence.schemas.avro.TokenScore;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Makes {@link Attribution} events. A result that is too large for its topic gets smaller in four
 * steps: without texts and tokens, without the matrix, with the 200 strongest sources only, without
 * the names of sources that were left out of the prompt.
 */
final class AttributionEvents {
  static final int KEPT_SOURCES = 200;

  private final EventWriter writer;
  private final String topic;
  private final boolean includeText;
  private final boolean includeTokens;

  AttributionEvents(EventWriter writer, String topic, boolean includeText, boolean includeTokens) {
    this.writer = writer;
    this.topic = topic;
    this.includeText = includeText;
    this.includeTokens = includeTokens;
  }

  /** What is said of a result: FINAL, until somebody decides otherwise. */
  Attribution.Builder of(Conversation conversation, AttributionResult result, Cause cause) {
    Attribution.Builder event =
        about(conversation, cause)
            .setStatus(status(result.status()))
            .setReasonCode(result.reasonCode())
            .setReason(result.reason())
            .setMethod(result.method())
            .setScorer(scorer(Optional.ofNullable(result.scorer()), result.surrogate()))
            .setPromptTokens(result.promptTokens())
            .setResponseTokens(result.responseTokens())
            .setEndTokenScored(result.endTokenScored())
            .setLogLikelihood(boxed(result.logLikelihood()))
            .setLogLikelihoodWithoutContext(boxed(result.logLikelihoodWithoutContext()))
            .setGroundedness(boxed(result.groundedness()))
            .setGroundednessPerToken(boxed(result.groundednessPerToken()))
            .setNoiseFloor(boxed(result.noiseFloor()))
            .setReasoning(result.reasoning().map(AttributionEvents::reasoning).orElse(null))
            .setSources(result.sources().stream().map(this::source).toList())
            .setLeftOut(result.leftOut().stream().map(AttributionEvents::leftOut).toList())
            .setGroups(result.groups().stream().map(AttributionEvents::group).toList())
            .setStatements(result.statements().stream().map(AttributionEvents::statement).toList())
            .setMatrix(result.matrix())
            .setFlags(result.flags())
            .setRetokenizedBranches(result.retokenizedBranches())
            .setTruncated(result.truncated())
            .setCost(cost(result.cost()));
    if (includeTokens) {
      event.setTokens(result.tokens().stream().map(AttributionEvents::token).toList());
    }
    return event;
  }

  /** The event of a response that is not scored on purpose. */
  Result sampledOut(Conversation conversation, Sampling.LeftOut why, Cause cause) {
    Attribution event =
        about(conversation, cause)
            .setStatus(ScoringStatus.SAMPLED_OUT)
            .setReasonCode(why.code())
            .setReason(why.sentence())
            .build();
    return write(event);
  }

  /**
   * The event of a record that is given up.
   *
   * @param conversation that was in it, if it could be read
   * @param fallbackId names the response if not
   * @param failure why
   * @param scorer that tried, if one did
   */
  Result failed(
      Optional<Conversation> conversation,
      String fallbackId,
      Failure failure,
      Optional<ScorerDescription> scorer,
      Cause cause) {
    Attribution.Builder event =
        conversation.map(one -> about(one, cause)).orElseGet(() -> about(fallbackId, cause));
    boolean surrogate =
        scorer.isPresent()
            && conversation.isPresent()
            && !scorer.get().aliases().contains(conversation.get().model());
    event
        .setStatus(ScoringStatus.FAILED)
        .setReasonCode(failure.code())
        .setReason(failure.message())
        .setScorer(scorer(scorer, surrogate));
    Attribution whole = event.build();
    return write(whole, () -> Optional.of(write(bare(whole), Optional::empty)));
  }

  private static Attribution.Builder about(Conversation conversation, Cause cause) {
    return about(conversation.responseId(), cause)
        .setModel(conversation.model())
        .setOccurredAt(conversation.occurredAt())
        .setConversationId(conversation.conversationId())
        .setSubjectId(conversation.subjectId());
  }

  private static Attribution.Builder about(String responseId, Cause cause) {
    return Attribution.newBuilder()
        .setResponseId(responseId)
        .setPhase(AttributionPhase.FINAL)
        .setRevision(cause.revision())
        .setTraceparent(cause.traceparent());
  }

  /**
   * A fast result that stands, since the target did not look.
   *
   * @param code why, in upper case
   * @param sentence the same for people
   */
  static Attribution closed(Attribution fast, String code, String sentence, int revision) {
    List<String> flags = new ArrayList<>(fast.getFlags());
    if (!fast.getReasonCode().isEmpty() && !flags.contains(fast.getReasonCode())) {
      flags.add(fast.getReasonCode()); // why it is UNSUPPORTED
    }
    flags.add(code);
    String before = fast.getReason();
    return Attribution.newBuilder(fast)
        .setPhase(AttributionPhase.FINAL)
        .setRevision(revision)
        .setReasonCode(code)
        .setReason(before.isEmpty() ? sentence : sentence + " " + before)
        .setFlags(flags)
        .build();
  }

  /** The event of an escalated response without a fast result that the target did not look at. */
  static Attribution unsupported(
      Conversation conversation, String code, String sentence, Cause cause) {
    return about(conversation, cause)
        .setStatus(ScoringStatus.UNSUPPORTED)
        .setReasonCode(code)
        .setReason(sentence)
        .build();
  }

  /** What says that a record failed must always fit: nothing in it grows with the record. */
  private static Attribution bare(Attribution event) {
    return Attribution.newBuilder(event)
        .setModel("")
        .setConversationId("")
        .setSubjectId("")
        .setReason("")
        .setScorer(null)
        .setTruncated(true)
        .build();
  }

  /** The next smaller form of an event; empty if there is none. */
  static Optional<Attribution> smaller(Attribution event) {
    boolean texts = event.getSources().stream().anyMatch(source -> source.getText() != null);
    if (texts || !event.getTokens().isEmpty()) {
      return Optional.of(withoutTexts(event));
    }
    if (!event.getMatrix().isEmpty()) {
      return Optional.of(withoutMatrix(event));
    }
    if (event.getSources().size() > KEPT_SOURCES) {
      return Optional.of(strongest(event));
    }
    return event.getLeftOut().isEmpty() ? Optional.empty() : Optional.of(withoutLeftOut(event));
  }

  /** A record to write. */
  Result write(Attribution event) {
    Attribution fits = writable(event);
    return write(fits, () -> smaller(fits).map(this::write));
  }

  /** A record that fits in the end, whatever came from outside is in the event. */
  Result writeSurely(Attribution event) {
    Attribution fits = writable(event);
    return write(
        fits,
        () ->
            Optional.of(
                smaller(fits)
                    .map(this::writeSurely)
                    .orElseGet(() -> write(bareFailed(fits), Optional::empty))));
  }

  /** Not even the scores fit: what is left says that there is nothing. */
  private static Attribution bareFailed(Attribution event) {
    return Attribution.newBuilder()
        .setResponseId(event.getResponseId())
        .setPhase(event.getPhase())
        .setRevision(event.getRevision())
        .setStatus(ScoringStatus.FAILED)
        .setReasonCode(event.getReasonCode())
        .setTruncated(true)
        .build();
  }

  /**
   * An event, made smaller as far as that is sure to be needed: the names of its sources alone may
   * be more than any topic takes, and more than the heap holds once they are written out.
   */
  static Attribution writable(Attribution event) {
    Optional<Attribution> next = Optional.of(event);
    while (next.isPresent() && nameCharacters(next.get()) > Clients.LARGEST_REQUEST_BYTES) {
      next = smaller(next.get());
    }
    return next.orElse(event);
  }

  private static long nameCharacters(Attribution event) {
    return event.getSources().stream().mapToLong(source -> source.getSegment().length()).sum()
        + event.getLeftOut().stream().mapToLong(source -> source.getSegment().length()).sum();
  }

  private Result write(Attribution event, Result.Shrink shrink) {
    return writer.write(
        topic, event.getResponseId(), event, event.getRevision(), event.getTraceparent(), shrink);
  }

  private static Attribution withoutTexts(Attribution event) {
    List<SourceScore> bare =
        event.getSources().stream()
            .map(source -> SourceScore.newBuilder(source).setText(null).build())
            .toList();
    return Attribution.newBuilder(event)
        .setSources(bare)
        .setTokens(List.of())
        .setTruncated(true)
        .build();
  }

  private static Attribution withoutMatrix(Attribution event) {
    return Attribution.newBuilder(event).setMatrix(List.of()).setTruncated(true).build();
  }

  /** How many sources were left out of the prompt still stands in the reason. */
  private static Attribution withoutLeftOut(Attribution event) {
    return Attribution.newBuilder(event).setLeftOut(List.of()).setTruncated(true).build();
  }

  private static Attribution strongest(Attribution event) {
    List<SourceScore> sources = event.getSources();
    Set<Integer> kept =
        IntStream.range(0, sources.size())
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -strength(sources.get(i))))
            .limit(KEPT_SOURCES)
            .collect(Collectors.toSet());
    List<SourceScore> strongest =
        IntStream.range(0, sources.size()).filter(kept::contains).mapToObj(sources::get).toList();
    return Attribution.newBuilder(event)
        .setSources(strongest)
        .setGroups(List.of()) // their indices would be of other sources
        .setTruncated(true)
        .build();
  }

  /** What drove the reasoning is kept as well as what drove the answer. */
  private static double strength(SourceScore source) {
    Double reasoning = source.getReasoningTau();
    return Math.max(Math.abs(source.getTau()), reasoning == null ? 0 : Math.abs(reasoning));
  }

  private static ReasoningScore reasoning(AttributionResult.Reasoning reasoning) {
    return ReasoningScore.newBuilder()
        .setTokens(reasoning.tokens())
        .setLogLikelihood(reasoning.logLikelihood())
        .setLogLikelihoodWithoutContext(boxed(reasoning.logLikelihoodWithoutContext()))
        .setGroundedness(boxed(reasoning.groundedness()))
        .setGroundednessPerToken(boxed(reasoning.groundednessPerToken()))
        .setNoiseFloor(reasoning.noiseFloor())
        .build();
  }

  private SourceScore source(AttributionResult.SourceScore source) {
    return SourceScore.newBuilder()
        .setSegment(source.segment())
        .setStart(source.span().start())
        .setEnd(source.span().end())
        .setText(includeText ? source.text() : null)
        .setTau(source.tau())
        .setReasoningTau(boxed(source.reasoningTau()))
        .setExact(source.exact())
        .setMethod(source.method())
        .setScorer(source.scorer())
        .setContext(source.context())
        .build();
  }

  private static LeftOutSource leftOut(SourcePlace source) {
    return LeftOutSource.newBuilder()
        .setSegment(source.segment())
        .setStart(source.span().start())
        .setEnd(source.span().end())
        .build();
  }

  private static SourceGroup group(AttributionResult.SourceGroup group) {
    return SourceGroup.newBuilder()
        .setSources(group.sources())
        .setTau(group.tau())
        .setReasoningTau(boxed(group.reasoningTau()))
        .build();
  }

  private static StatementScore statement(AttributionResult.Statement statement) {
    return StatementScore.newBuilder()
        .setStart(statement.span().start())
        .setEnd(statement.span().end())
        .setLogLikelihood(statement.logLikelihood())
        .build();
  }

  private static TokenScore token(AttributionResult.TokenScore token) {
    return TokenScore.newBuilder()
        .setStart(token.span().start())
        .setEnd(token.span().end())
        .setLogProb(token.logProb())
        .build();
  }

  private static @Nullable AttributionCost cost(AttributionResult.Cost cost) {
    if (cost.equals(AttributionResult.Cost.NONE)) {
      return null;
    }
    return AttributionCost.newBuilder()
        .setTrunkTokens(cost.trunkTokens())
        .setBranchTokens(cost.branchTokens())
        .setPasses(cost.passes())
        .setSeconds(cost.seconds())
        .setFlops(cost.flops())
        .build();
  }

  private static @Nullable ScorerProvenance scorer(
      Optional<ScorerDescription> scorer, boolean surrogate) {
    return scorer
        .map(
            one ->
                ScorerProvenance.newBuilder()
                    .setModel(one.model())
                    .setDigest(one.digest())
                    .setDtype(one.dtype())
                    .setDevice(one.device())
                    .setSurrogate(surrogate)
                    .build())
        .orElse(null);
  }

  private static ScoringStatus status(AttributionStatus status) {
    return switch (status) {
      case SCORED -> ScoringStatus.SCORED;
      case SAMPLED_OUT -> ScoringStatus.SAMPLED_OUT;
      case UNSUPPORTED -> ScoringStatus.UNSUPPORTED;
      case FAILED -> ScoringStatus.FAILED;
    };
  }

  private static @Nullable Double boxed(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
