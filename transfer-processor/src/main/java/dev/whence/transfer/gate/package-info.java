/**
 * Whether a transfer is worth publishing: {@link dev.whence.transfer.gate.Gates} measures, a {@link
 * dev.whence.transfer.gate.GateReport} holds every value, and a rejected transfer is a normal
 * result. Losses come from a {@link dev.whence.transfer.gate.Judge}: the engine's own scoring, or a
 * command of the user's.
 */
package dev.whence.transfer.gate;
