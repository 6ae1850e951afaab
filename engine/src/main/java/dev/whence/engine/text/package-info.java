/**
 * From a conversation to tokens: {@link dev.whence.engine.text.PromptTemplate} renders the model's
 * chat template and says where each part stands, {@link dev.whence.engine.text.Tokenizer} turns
 * text into tokens with offsets.
 */
package dev.whence.engine.text;
