/**
 * The figures of the README, measured. {@link dev.whence.benchmarks.ExactBench} is the speed and
 * the exactness of leave-one-out on a model, beside the matrix product peak of the same run; {@link
 * dev.whence.benchmarks.StreamBench} is what Kafka adds to the model's time. Both give a report
 * that prints as text, JSON or an evidence file in Markdown. The baseline that exact leave-one-out
 * is compared with is a Python script in {@code reference/}, never needed to build or run.
 */
package dev.whence.benchmarks;
