package dev.whence.influence.query;

import dev.whence.influence.index.IndexedDocument;
import java.util.Optional;

/**
 * How much a document moved a response.
 *
 * @param document which
 * @param influence change of the response's log-likelihood for one more unit of the document's
 *     weight in training, nats; positive: made it more likely
 * @param exact whether the document's gradient was computed anew; else by sketches
 * @param estimate by sketches, nats
 * @param standardError of the estimate, nats
 * @param selfInfluence of the document on its own loss, nats, with the index's damping
 * @param breakdown by layer and token, of exact influences
 */
public record DocumentInfluence(
    IndexedDocument document,
    double influence,
    boolean exact,
    double estimate,
    double standardError,
    double selfInfluence,
    Optional<ExactInfluence.Breakdown> breakdown) {}
