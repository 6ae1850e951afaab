/**
 * Scorers that run somewhere else: {@link dev.whence.attribution.remote.RemoteScorer} asks an
 * inference server for the log-probabilities of prompts.
 */
@org.jspecify.annotations.NullMarked
package dev.whence.attribution.remote;
