/**
 * A synthetic world in which the truth is known: which sentence of a context holds the answer,
 * which training document taught a fact, which version of the world knows what.
 *
 * <p>The way of the data: a {@link dev.whence.samples.Lexicon} of words and templates makes a
 * {@link dev.whence.samples.World} of entities and facts; a {@link dev.whence.samples.Corpus}
 * states the facts in documents; {@link dev.whence.samples.ReadingExercises} and {@link
 * dev.whence.samples.Questions} make contexts about worlds that are thrown away, with questions
 * whose answers are known; {@link dev.whence.samples.BytePairEncoding} learns a tokenizer from such
 * texts; {@link dev.whence.samples.QuestionLines} writes questions as JSON Lines.
 *
 * <p>Everything is a pure function of seeds and of the numbers in the option records.
 */
package dev.whence.samples;
