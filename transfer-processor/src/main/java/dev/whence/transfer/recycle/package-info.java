/**
 * Fine-tuning over a series of base versions: {@link dev.whence.transfer.recycle.Recycling} is the
 * paper's algorithm, {@link dev.whence.transfer.recycle.Comparison} sets it against fine-tuning
 * each version anew. Who trains, and how well a model does, is a {@link
 * dev.whence.transfer.recycle.FineTuner}'s business.
 */
package dev.whence.transfer.recycle;
