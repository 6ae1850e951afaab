/**
 * How close cheap attribution methods come to exact leave-one-out, and what they cost: {@link
 * dev.whence.benchmarks.fidelity.FidelityBench} measures, {@link
 * dev.whence.benchmarks.fidelity.Subject} lists the methods, {@link
 * dev.whence.benchmarks.fidelity.Ranking}, {@link dev.whence.benchmarks.fidelity.Faithfulness} and
 * {@link dev.whence.benchmarks.fidelity.RedundancyProbe} are the measures. {@link
 * dev.whence.benchmarks.fidelity.ScalingBench} holds costs against their formulas.
 */
@org.jspecify.annotations.NullMarked
package dev.whence.benchmarks.fidelity;
