/**
 * Attributions for people at a terminal: {@link dev.whence.quickstart.view.AttributionCard} draws
 * one, {@link dev.whence.quickstart.view.LiveView} a stream of them. Texts come from outside, so
 * everything goes through {@code DisplayText}.
 */
package dev.whence.quickstart.view;
