/**
 * The LLM engine. {@link dev.whence.engine.Scorer} is the door: it runs a prompt and a response
 * once (the {@link dev.whence.engine.Trunk}) and then scores other readings of it ({@link
 * dev.whence.engine.Branch}es) without running it again. {@code weights} reads model files, {@code
 * text} turns conversations into tokens, {@code kernel} computes.
 */
package dev.whence.engine;
