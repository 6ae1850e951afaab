/**
 * Responses in, attributions out: what this module does on Kafka. {@link
 * dev.whence.attribution.stage.AttributionProcessor} is the command, {@link
 * dev.whence.attribution.stage.AttributionStage} the stage; the maths is one package up.
 */
package dev.whence.attribution.stage;
