/**
 * From a response to the documents that drove it: {@link
 * dev.whence.influence.query.ResponseGradient}, {@link dev.whence.influence.query.MultiStageQuery},
 * {@link dev.whence.influence.query.IndexScan}, {@link dev.whence.influence.query.ExactInfluence},
 * in this order; {@link dev.whence.influence.query.InfluenceSearch} runs them.
 */
package dev.whence.influence.query;
