/**
 * Influence against what is true: documents that are known to have taught a fact ({@link
 * dev.whence.benchmarks.influence.InfluenceBench}), and models trained without some documents
 * ({@link dev.whence.benchmarks.influence.DatamodelBench}).
 */
@NullMarked
package dev.whence.benchmarks.influence;

import org.jspecify.annotations.NullMarked;
