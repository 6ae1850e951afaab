/**
 * Transfers as events: {@link dev.whence.transfer.stage.TransferProcessor} wires, {@link
 * dev.whence.transfer.stage.TransferStage} takes requests and writes how far they are, a {@link
 * dev.whence.transfer.stage.TransferSession} as long as its clients live, with what {@link
 * dev.whence.transfer.stage.FollowedReleases} are announced and what jobs say through the {@link
 * dev.whence.transfer.stage.Outbox}; {@link dev.whence.transfer.stage.TransferRequests} is for
 * whoever asks. Knows Kafka and no maths.
 */
package dev.whence.transfer.stage;
