/**
 * Transfers as events: {@link dev.whence.transfer.stage.TransferProcessor} wires, {@link
 * dev.whence.transfer.stage.TransferStage} takes requests and writes how far they are, {@link
 * dev.whence.transfer.stage.TransferRequests} is for whoever asks. Knows Kafka and no maths.
 */
package dev.whence.transfer.stage;
