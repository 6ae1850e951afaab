package dev.whence.engine.weights;

import java.util.List;

/**
 * A tensor of a model.
 *
 * @param name as Hugging Face names it, for example {@code model.layers.0.self_attn.q_proj.weight}
 * @param type of the elements as handed out
 * @param shape outermost dimension first (PyTorch order)
 */
public record TensorInfo(String name, ElementType type, List<Long> shape) {
  public TensorInfo {
    shape = List.copyOf(shape);
  }

  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  public long byteLength() {
    return Math.multiplyExact(elements(), (long) type.bytes());
  }
}
