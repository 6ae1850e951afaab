package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The weights of a decoder on its device, as one list of tensors in the kernel's order. They are
 * streamed in pieces through one direct buffer, so that neither the heap nor native memory ever
 * holds a tensor twice.
 */
final class DecoderWeights implements AutoCloseable {
  private static final int CHUNK_BYTES = 8 << 20;

  private final IValue list;
  private final long bytes;
  private final long parameters;
  private final NativeMemory memory;

  private DecoderWeights(IValue list, long bytes, long parameters, NativeMemory memory) {
    this.list = list;
    this.bytes = bytes;
    this.parameters = parameters;
    this.memory = memory;
    memory.addWeights(bytes);
  }

  /** Bytes that the weights take in a precision. */
  static long bytes(WeightLayout layout, Precision precision) {
    return layout.weights().stream()
        .mapToLong(w -> w.elements() * (w.norm() ? Precision.FP32 : precision).bytes())
        .sum();
  }

  static DecoderWeights load(
      Kernel kernel,
      ModelConfig config,
      WeightSource source,
      WeightLayout layout,
      Precision precision,
      NativeMemory memory) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK_BYTES);
    Map<String, TensorInfo> tensors = source.tensors();
    List<IValue> loaded = new ArrayList<>();
    boolean complete = false;
    try {
      for (WeightLayout.Weight weight : layout.weights()) {
        Precision type = weight.norm() ? Precision.FP32 : precision;
        long[] shape =
            weight.shape().isEmpty()
                ? new long[] {0}
                : weight.shape().stream().mapToLong(Long::longValue).toArray();
        IValue tensor = kernel.allocate(type, shape);
        loaded.add(tensor);
        for (WeightLayout.Piece piece : weight.pieces()) {
          TensorInfo info = Objects.requireNonNull(tensors.get(piece.source()));
          copy(kernel, source, info, piece, columns(weight), tensor, buffer);
        }
        if (weight.rotatedHeads() > 0) {
          interleave(kernel, config, tensor, weight.rotatedHeads());
        }
      }
      if (config.tiedEmbeddings()) {
        loaded.add(1, loaded.get(0)); // the head is the embedding
      }
      long parameters = layout.weights().stream().mapToLong(WeightLayout.Weight::elements).sum();
      IValue list = kernel.list(loaded);
      complete = true;
      return new DecoderWeights(list, bytes(layout, precision), parameters, memory);
    } finally {
      if (!complete) {
        loaded.forEach(IValue::close); // one that the list closed already does not mind
      }
    }
  }

  private static void interleave(Kernel kernel, ModelConfig config, IValue tensor, int heads) {
    try (IValue count = IValue.from((long) heads);
        IValue width = IValue.from((long) config.headDim());
        IValue half = IValue.from((long) config.rotary().dimensions() / 2)) {
      kernel.call("interleave", tensor, count, width, half).close();
    }
  }

  private static long columns(WeightLayout.Weight weight) {
    return weight.shape().size() == 2 ? weight.shape().get(1) : 1;
  }

  private static void copy(
      Kernel kernel,
      WeightSource source,
      TensorInfo info,
      WeightLayout.Piece piece,
      long columns,
      IValue target,
      ByteBuffer buffer) {
    ElementType type = info.type();
    long from = piece.sourceRow() * columns;
    long to = piece.targetRow() * columns;
    long left = piece.rows() * columns;
    while (left > 0) {
      int elements = (int) Math.min(left, CHUNK_BYTES / type.bytes());
      buffer.clear().limit(elements * type.bytes());
      source.read(info.name(), from * type.bytes(), buffer);
      buffer.flip();
      if (!isFinite(buffer, type)) {
        throw new EngineException(
            Kind.MODEL,
            "Tensor "
                + info.name()
                + " has a NaN or an infinite value: the file is damaged, or the model was not"
                + " trained to its end.");
      }
      kernel.fill(target, to, buffer, code(type));
      from += elements;
      to += elements;
      left -= elements;
    }
  }

  /**
   * Whether no element is NaN or infinite, which all exponent bits set would be. Eight bytes are
   * looked at together: a lane of t is zero where an element has them all set, and (t - 1) & ~t has
   * a lane's highest bit set only if some lane is zero.
   */
  static boolean isFinite(ByteBuffer buffer, ElementType type) {
    long exponent =
        switch (type) {
          case F32 -> 0x7f80_0000_7f80_0000L;
          case F16 -> 0x7c00_7c00_7c00_7c00L;
          case BF16 -> 0x7f80_7f80_7f80_7f80L;
        };
    long one = type == ElementType.F32 ? 0x0000_0001_0000_0001L : 0x0001_0001_0001_0001L;
    long found = 0;
    ByteBuffer bytes = buffer.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.remaining() >= Long.BYTES) {
      long t = ~bytes.getLong() & exponent;
      found |= (t - one) & ~t;
    }
    long last = 0;
    for (int shift = 0; bytes.hasRemaining(); shift += Byte.SIZE) {
      last |= (bytes.get() & 0xffL) << shift;
    }
    long t = ~last & exponent;
    found |= (t - one) & ~t;
    return (found & (one << (type.bytes() * Byte.SIZE - 1))) == 0;
  }

  /** PyTorch's number of the type. */
  private static int code(ElementType type) {
    return switch (type) {
      case F32 -> 6;
      case F16 -> 5;
      case BF16 -> 15;
    };
  }

  IValue list() {
    return list;
  }

  long bytes() {
    return bytes;
  }

  long parameters() {
    return parameters;
  }

  @Override
  public void close() {
    list.close();
    memory.addWeights(-bytes);
  }
}
