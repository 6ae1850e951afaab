/**
 * The worker loop, in which every processor with a model lives. A processor implements {@link
 * dev.whence.runtime.worker.Stage}; {@link dev.whence.runtime.worker.Worker} runs it.
 *
 * <p>The way of a record, led by {@link dev.whence.runtime.worker.Session}: {@link
 * dev.whence.runtime.worker.Intake} polls it into {@link dev.whence.runtime.worker.Holding}; {@link
 * dev.whence.runtime.worker.BatchRun} runs it on the model thread; {@link
 * dev.whence.runtime.worker.Finisher} makes its results fit; {@link
 * dev.whence.runtime.worker.Commits} commits them with its offset. {@link
 * dev.whence.runtime.worker.Partitions} follows rebalances and strikes what another member does
 * from now on.
 *
 * <p>Four kinds of failure are kept apart: the record's ({@link
 * dev.whence.runtime.worker.Outcome.Rejected}), the environment's ({@link
 * dev.whence.runtime.worker.EnvironmentException}), the death of the process ({@link
 * dev.whence.runtime.worker.Attempt}), and a hang ({@link dev.whence.runtime.worker.Watchdog}).
 */
package dev.whence.runtime.worker;
