/**
 * Which training data drove a response, by EK-FAC influence functions over one or two training
 * stages. {@link dev.whence.influence.query.InfluenceSearch} is the door; {@link
 * dev.whence.influence.query.MultiStageQuery} has the formula.
 *
 * <p>The way of the data: {@code corpus} reads what was learnt, {@code model} runs it through a
 * model whose layers show inputs and output gradients, {@code ekfac} makes factors of them, {@code
 * index} sketches whitened gradients of all documents, {@code query} turns a response's gradient
 * into scores of them.
 */
package dev.whence.influence;
