/**
 * How far the fast path can be trusted, measured: {@link
 * dev.whence.attribution.confidence.TopSources} says when two scorers agree on a response, {@link
 * dev.whence.attribution.confidence.Calibration} learns from responses that were scored both ways
 * how likely that is, and {@link dev.whence.attribution.confidence.Calibrator} keeps the window of
 * them.
 */
@org.jspecify.annotations.NullMarked
package dev.whence.attribution.confidence;
