package dev.whence.influence.query;

import dev.whence.influence.model.Measure;
import java.util.List;

/**
 * Which training documents drove a response.
 *
 * @param responseId of the response
 * @param model whose gradient was taken
 * @param surrogate whether it stands in for the production model that the response names
 * @param method {@code multi-stage} or {@code single-stage}, and how candidates were preselected
 * @param index digest of the index that was asked
 * @param ofDocuments the measure of documents
 * @param logLikelihood of the response, nats
 * @param responseTokens that count
 * @param positive made it more likely, the most influential first
 * @param negative made it less likely, the most influential first
 * @param residuals of {@link Pcg}: |U - (F + lambda) V| / |U| by EK-FAC alone and after each
 *     iteration; empty: EK-FAC as it is
 * @param documents that were searched
 * @param preselected candidates by words
 * @param reranked documents whose gradients were computed anew
 * @param seconds that it took, the time of a batch divided among its queries
 */
public record InfluenceResult(
    String responseId,
    String model,
    boolean surrogate,
    String method,
    String index,
    Measure ofDocuments,
    double logLikelihood,
    int responseTokens,
    List<DocumentInfluence> positive,
    List<DocumentInfluence> negative,
    List<Double> residuals,
    long documents,
    int preselected,
    int reranked,
    double seconds) {
  public InfluenceResult {
    positive = List.copyOf(positive);
    negative = List.copyOf(negative);
    residuals = List.copyOf(residuals);
  }
}
