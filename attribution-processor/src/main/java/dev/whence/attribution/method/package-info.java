/**
 * The methods, each a choice of branches of a trunk: {@link
 * dev.whence.attribution.method.LeaveOneOut} is the definition, exact with the KV cache or naive;
 * {@link dev.whence.attribution.method.Hierarchical} goes by paragraphs first. They know text
 * spans, tokens and the {@link dev.whence.engine.Scorer}; no Kafka, no JSON.
 */
package dev.whence.attribution.method;
