/** Fine-tuning transfer by diff vectors: arithmetic, gates and the processor that publishes. */
package dev.whence.transfer;
