package dev.whence.influence.query;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;

/**
 * What is asked of an index.
 *
 * @param measure of the response that influence is about
 * @param alpha of the fine-tuning stage; not used by a single-stage query
 * @param lambda of the indexed stage
 * @param top documents that are returned of each sign
 * @param rerank candidates of each sign whose gradients are computed anew, exactly; 0: none, then
 *     influences are estimates by sketches
 * @param preselect candidates beside those of the scan
 * @param pcg how the inverse of the indexed stage's curvature is refined
 * @param byLayer whether exact influences are broken down by layer
 * @param byToken whether exact influences are broken down by token
 */
public record QueryOptions(
    Measure measure,
    Damping alpha,
    Damping lambda,
    int top,
    int rerank,
    Preselection preselect,
    Pcg pcg,
    boolean byLayer,
    boolean byToken) {
  public static final QueryOptions DEFAULT =
      new QueryOptions(
          Measure.LOG_LIKELIHOOD,
          Damping.DEFAULT,
          Damping.DEFAULT,
          10,
          100,
          Preselection.NONE,
          Pcg.NONE,
          false,
          false);

  public QueryOptions {
    if (top < 1 || rerank < 0) {
      throw new InfluenceException(
          "top " + top + " or rerank " + rerank + " is too small: at least 1 and 0 are possible.");
    }
    if (rerank == 0 && !preselect.isNone()) {
      throw new InfluenceException(
          "What is preselected by "
              + preselect.text()
              + " is ranked by exact gradients: that needs a rerank of at least 1.");
    }
  }

  public QueryOptions withMeasure(Measure other) {
    return new QueryOptions(other, alpha, lambda, top, rerank, preselect, pcg, byLayer, byToken);
  }

  public QueryOptions withAlpha(Damping other) {
    return new QueryOptions(measure, other, lambda, top, rerank, preselect, pcg, byLayer, byToken);
  }

  public QueryOptions withTop(int other) {
    return new QueryOptions(
        measure, alpha, lambda, other, rerank, preselect, pcg, byLayer, byToken);
  }

  public QueryOptions withRerank(int other) {
    return new QueryOptions(measure, alpha, lambda, top, other, preselect, pcg, byLayer, byToken);
  }

  public QueryOptions withPreselect(Preselection other) {
    return new QueryOptions(measure, alpha, lambda, top, rerank, other, pcg, byLayer, byToken);
  }

  public QueryOptions withPcg(Pcg other) {
    return new QueryOptions(
        measure, alpha, lambda, top, rerank, preselect, other, byLayer, byToken);
  }

  public QueryOptions withBreakdown(boolean layers, boolean tokens) {
    return new QueryOptions(measure, alpha, lambda, top, rerank, preselect, pcg, layers, tokens);
  }
}
