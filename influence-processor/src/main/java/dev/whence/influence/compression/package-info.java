/**
 * A smaller model by the curvature that influence is computed with: {@link
 * dev.whence.influence.compression.FisherWeightedSvd} is the method, {@link
 * dev.whence.influence.compression.Compression} the job.
 */
package dev.whence.influence.compression;
