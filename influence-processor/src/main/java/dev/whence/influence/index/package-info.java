/**
 * Gradients of a corpus, whitened and sketched: {@link dev.whence.influence.index.IndexJob} builds
 * shards, {@link dev.whence.influence.index.GradientIndex} opens them all.
 */
package dev.whence.influence.index;
