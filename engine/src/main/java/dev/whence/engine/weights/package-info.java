/**
 * Model files: safetensors (single and sharded) and GGUF behind one {@link
 * dev.whence.engine.weights.WeightSource}, and what config.json or the GGUF metadata say about the
 * model as a {@link dev.whence.engine.weights.ModelConfig}. Everything read here is untrusted.
 */
package dev.whence.engine.weights;
