/**
 * The curvature of a training stage: {@link dev.whence.influence.ekfac.FactorsJob} computes {@link
 * dev.whence.influence.ekfac.EkfacFactors} in three steps, {@code Covariances}, {@code Eigenbases}
 * and {@code LambdaSums}, each with a file that workers add up and that says by its checksum that
 * it is whole.
 */
package dev.whence.influence.ekfac;
