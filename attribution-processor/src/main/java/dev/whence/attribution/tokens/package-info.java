/**
 * From characters to tokens: {@link dev.whence.attribution.tokens.TokenizedPrompt} cuts spans out
 * of a prompt, {@link dev.whence.attribution.tokens.TokenizedResponse} says which statement each
 * token of the response belongs to.
 */
package dev.whence.attribution.tokens;
