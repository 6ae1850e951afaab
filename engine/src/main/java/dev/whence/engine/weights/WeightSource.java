package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Objects;

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

  /**
   * Elements [offset, offset + n) of a tensor, row-major.
   *
   * @param name a key of {@link #tensors()}
   * @throws dev.whence.engine.EngineException as {@link #read}
   */
  default float[] floats(String name, long offset, int n) {
    TensorInfo info = Objects.requireNonNull(tensors().get(name), name);
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(n, info.type().bytes()))
            .order(ByteOrder.LITTLE_ENDIAN);
    read(name, offset * info.type().bytes(), bytes);
    bytes.flip();
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = info.type().next(bytes);
    }
    return values;
  }

  @Override
  void close();
}
