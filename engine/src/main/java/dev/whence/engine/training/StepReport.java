package dev.whence.engine.training;

/**
 * What a training step did.
 *
 * @param step from 1
 * @param loss weighted mean of the losses before the update, in nats per scored token; where there
 *     is a teacher, of Huber's function of how far they are from its losses
 * @param gradientNorm Euclidean, before clipping
 * @param rate learning rate
 * @param tokens read, padding not counted
 * @param scoredTokens whose loss counted
 */
public record StepReport(
    long step, double loss, double gradientNorm, double rate, long tokens, long scoredTokens) {}
