/**
 * How close cheap attribution methods come to exact leave-one-out, and what they cost: {@link
 * dev.whence.benchmarks.fidelity.FidelityBench}.
 */
@org.jspecify.annotations.NullMarked
package dev.whence.benchmarks.fidelity;
