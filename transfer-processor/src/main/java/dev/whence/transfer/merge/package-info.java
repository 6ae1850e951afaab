/**
 * The merge engine: {@code T + lambda (F - B)} over safetensors directories, byte for byte once
 * through memory. A {@link dev.whence.transfer.merge.TransferRequest} becomes a {@link
 * dev.whence.transfer.merge.TransferPlan}, which has matched all tensors or says everything that is
 * in the way; a {@link dev.whence.transfer.merge.MergeRun} carries it out, tensor by tensor in a
 * {@link dev.whence.transfer.merge.TensorMerge} with {@link dev.whence.transfer.merge.MergeKernel}
 * for the arithmetic, and leaves a {@link dev.whence.transfer.merge.Manifest} beside the weights.
 * Knows no Kafka.
 */
package dev.whence.transfer.merge;
