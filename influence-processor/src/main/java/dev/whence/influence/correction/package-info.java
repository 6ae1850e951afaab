/**
 * From flagged answers to the training examples behind them, as a data set: {@link
 * dev.whence.influence.correction.CorrectionSet}.
 */
package dev.whence.influence.correction;
