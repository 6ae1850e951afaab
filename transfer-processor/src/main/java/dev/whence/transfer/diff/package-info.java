/**
 * Diff vectors as things of their own: {@link dev.whence.transfer.diff.DiffExtraction} makes one,
 * {@link dev.whence.transfer.diff.DiffApplication} adds one or several to a model, {@link
 * dev.whence.transfer.diff.DiffInspection} says what is in it.
 */
package dev.whence.transfer.diff;
