/** Preselection by words: {@link dev.whence.influence.lexical.LexicalShard}, with Lucene's BM25. */
package dev.whence.influence.lexical;
