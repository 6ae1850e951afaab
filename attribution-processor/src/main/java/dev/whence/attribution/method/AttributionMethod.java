package dev.whence.attribution.method;

import dev.whence.engine.EngineException;
import dev.whence.engine.Introspection;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/**
 * A way to give every source a score: a choice of branches, or for the baselines that read inside
 * the model, what a single reading shows.
 */
public sealed interface AttributionMethod
    permits LeaveOneOut,
        Hierarchical,
        Splice,
        ParagraphSplice,
        Cascade,
        Proxy,
        ProxyPruning,
        ContextCite,
        Attention,
        GradientNorm,
        Similarity {
  /** As results name it, for example "exact-loo". */
  String name();

  /**
   * Scores a task.
   *
   * @param meter counts what is spent
   * @throws dev.whence.engine.EngineException as {@link Scorer#trunk}
   */
  ContextScores score(Scorer scorer, ScoringTask task, Meter meter);

  /**
   * What {@link #score} would cost, from lengths alone: tokens that a cut changes beside it are not
   * counted.
   */
  WorkEstimate estimate(Scorer scorer, ScoringTask task);

  /** Whether a second, smaller model scores, too. */
  default boolean needsProxy() {
    return this instanceof Proxy || this instanceof ProxyPruning;
  }

  /** Whether its scores are tau, in nats; those of the others only rank. */
  default boolean givesNats() {
    return !(this instanceof ContextCite
        || this instanceof Attention
        || this instanceof GradientNorm
        || this instanceof Similarity);
  }

  /** The names of all methods. */
  List<String> NAMES =
      List.of(
          LeaveOneOut.EXACT,
          LeaveOneOut.NAIVE,
          Hierarchical.NAME,
          Splice.NAME,
          ParagraphSplice.NAME,
          Cascade.NAME,
          Proxy.NAME,
          ProxyPruning.NAME,
          ContextCite.NAME,
          Attention.NAME,
          GradientNorm.NAME,
          Similarity.NAME);

  /**
   * The method of a name.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  static AttributionMethod of(MethodOptions options) {
    return switch (options.name()) {
      case LeaveOneOut.EXACT -> LeaveOneOut.exact();
      case LeaveOneOut.NAIVE -> LeaveOneOut.naive();
      case Hierarchical.NAME -> new Hierarchical(options.keepParagraphs());
      case Splice.NAME -> new Splice(options.heal());
      case ParagraphSplice.NAME -> new ParagraphSplice(options.heal(), options.keepParagraphs());
      case Cascade.NAME -> new Cascade(options.heal(), options.exactTop(), options.deadline());
      case Proxy.NAME -> new Proxy();
      case ProxyPruning.NAME -> new ProxyPruning(options.exactTop());
      case ContextCite.NAME -> new ContextCite(options.masks(), options.seed());
      case Attention.NAME -> new Attention();
      case GradientNorm.NAME -> new GradientNorm();
      case Similarity.NAME -> new Similarity();
      default ->
          throw new IllegalArgumentException(
              "the attribution method '"
                  + options.name()
                  + "' is not one of "
                  + String.join(", ", NAMES));
    };
  }

  /**
   * The method by which a proxy scores.
   *
   * @param options of the method that needs a proxy
   * @throws IllegalArgumentException if it is none that a proxy can score with
   */
  static AttributionMethod ofProxy(MethodOptions options) {
    AttributionMethod method = of(options.proxy());
    if (method.needsProxy()) {
      throw new IllegalArgumentException(
          "a proxy can not score with the method '" + method.name() + "'");
    }
    if (!method.givesNats()) {
      throw new IllegalArgumentException(
          "a proxy can not score with the method '"
              + method.name()
              + "': its scores only rank, those of the method '"
              + options.name()
              + "' are nats");
    }
    return method;
  }

  /**
   * What can be read inside the model.
   *
   * @throws EngineException of kind UNSUPPORTED if nothing can
   */
  static Introspection introspection(Scorer scorer) {
    return scorer
        .introspection()
        .orElseThrow(
            () ->
                new EngineException(
                    EngineException.Kind.UNSUPPORTED,
                    "attention, gradients and hidden states can only be read in a model of this"
                        + " process, not in one behind a server"));
  }
}
