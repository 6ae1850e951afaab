/**
 * Training data as files: {@link dev.whence.influence.corpus.CorpusFile} reads JSON Lines, {@link
 * dev.whence.influence.corpus.RejectFile} lists the lines that are no document, {@link
 * dev.whence.influence.corpus.Progress} counts, {@link dev.whence.influence.corpus.TopicCorpus}
 * makes a file of a topic.
 */
package dev.whence.influence.corpus;
