/**
 * Training steps in the engine. Open {@link dev.whence.engine.training.Trainer} first: examples go
 * in, parameters change. {@link dev.whence.engine.training.TrainingRun} does it many times, with
 * checkpoints that resume bit for bit. The maths is in the kernel texts whose names have {@code
 * training} in them.
 */
package dev.whence.engine.training;
