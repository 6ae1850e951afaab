/**
 * What is scored: {@link dev.whence.attribution.source.ContextReader} finds the attributable
 * context of a rendered prompt and cuts it into {@link dev.whence.attribution.source.Source}s, with
 * {@link dev.whence.attribution.source.Partitioner} for paragraphs and sentences of any script.
 * Characters only; nothing here knows tokens or models.
 */
package dev.whence.attribution.source;
