package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.util.Map;

/** The tensors of a model, read in pieces so that heap use stays flat. */
public interface WeightSource extends AutoCloseable {
  /** By Hugging Face name, in name order. */
  Map<String, TensorInfo> tensors();

  /**
   * Reads bytes of a tensor, row-major, little-endian, dequantised where needed.
   *
   * @param name a key of {@link #tensors()}
   * @param offset first byte of the tensor as handed out; a multiple of the element size
   * @param target filled from its position to its limit; a multiple of the element size
   * @throws dev.whence.engine.EngineException of kind MODEL (truncated) or ENVIRONMENT (disk)
   */
  void read(String name, long offset, ByteBuffer target);

  @Override
  void close();
}
