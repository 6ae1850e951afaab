package dev.whence.benchmarks.influence;

import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import java.util.function.BiFunction;

/**
 * Influence by EK-FAC, of sketches.
 *
 * @param name in tables
 * @param corpus gradients of the indexed stage
 * @param query with the factors of one or two stages
 * @param gradient of a response, by measure
 */
record EkfacScores(
    String name,
    SketchedCorpus corpus,
    MultiStageQuery query,
    Measure measure,
    Damping alpha,
    BiFunction<TruthQuery, Measure, ResponseGradient> gradient)
    implements DocumentScores {
  @Override
  public double[] of(TruthQuery asked) {
    MultiStageQuery.Preconditioned preconditioned =
        query.precondition(
            gradient.apply(asked, measure),
            alpha,
            corpus.damping(),
            corpus.damping(),
            corpus.sketch());
    return corpus.products(preconditioned.sketch());
  }
}
