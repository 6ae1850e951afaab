/**
 * What the processes of all processors have in common: a {@link
 * dev.whence.runtime.process.ProcessShell} around the stages, and {@link
 * dev.whence.runtime.process.ProcessRun} from start to end.
 */
package dev.whence.runtime.process;
