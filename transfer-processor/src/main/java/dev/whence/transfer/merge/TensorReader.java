package dev.whence.transfer.merge;

import dev.whence.engine.EngineException;
import dev.whence.engine.weights.ElementType;
import dev.whence.transfer.TransferException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The tensors of a directory as doubles, read in pieces: for diff vectors and for what looks at
 * them. Belongs to one thread.
 */
public final class TensorReader implements AutoCloseable {
  /** Elements that are read at once. */
  public static final int PIECE = 1 << 16;

  private final SourceModel model;
  private final ByteBuffer buffer =
      ByteBuffer.allocateDirect(PIECE * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final short[] shorts = new short[PIECE];
  private final int[] ints = new int[PIECE];

  /** A tensor of the directory. */
  public record Info(String name, String dtype, List<Long> shape, long elements) {
    /** Whether it holds numbers that can be added. */
    public boolean isFloat() {
      return List.of("F32", "F16", "BF16").contains(dtype);
    }

    /** Whether it holds numbers that can not be added here: F64 or eight bits. */
    public boolean isOtherFloat() {
      return dtype.startsWith("F") && !isFloat();
    }
  }

  private TensorReader(SourceModel model) {
    this.model = model;
  }

  /**
   * Opens a directory.
   *
   * @throws TransferException if it is not readable as safetensors
   */
  public static TensorReader open(Role role, Path directory) {
    try {
      return new TensorReader(SourceModel.open(role, directory, Optional.empty()));
    } catch (EngineException e) {
      throw refused(role, e);
    }
  }

  /**
   * Opens the directory of a model that a difference is taken of, or added to.
   *
   * @throws TransferException if it is not readable as safetensors, or its tensors are a stored
   *     diff vector or the factors of a compressed model
   */
  public static TensorReader openModel(Role role, Path directory) {
    TensorReader reader = open(role, directory);
    boolean good = false;
    try {
      TransferException.refuse(reader.model.noWeights());
      good = true;
      return reader;
    } catch (EngineException e) {
      throw refused(role, e);
    } finally {
      if (!good) {
        reader.close();
      }
    }
  }

  private static TransferException refused(Role role, EngineException e) {
    return new TransferException(
        e.reasons().stream().map(reason -> role.word() + ": " + reason).toList(), e);
  }

  /** Whether it says of itself that it is a stored diff vector. */
  public boolean isDiff() {
    return model.isDiff();
  }

  public Path directory() {
    return model.directory();
  }

  SourceModel model() {
    return model;
  }

  /** All tensors, by name. */
  public Map<String, Info> tensors() {
    Map<String, Info> infos = new TreeMap<>();
    model
        .tensors()
        .forEach(
            (name, tensor) ->
                infos.put(
                    name,
                    new Info(
                        name,
                        tensor.dtype(),
                        tensor.shape(),
                        tensor.shape().stream().reduce(1L, Math::multiplyExact))));
    return infos;
  }

  private SourceModel.Tensor tensor(String name) {
    SourceModel.Tensor tensor = model.tensors().get(name);
    if (tensor == null) {
      throw new IllegalArgumentException("no tensor '" + name + "'");
    }
    return tensor;
  }

  /** Bytes of a tensor in its file. */
  public long bytes(String name) {
    return tensor(name).entry().byteLength();
  }

  private ByteBuffer read(SourceModel.Tensor tensor, long from, int n, int size) {
    buffer.clear().limit(n * size);
    tensor.read(from * size, buffer);
    return buffer.flip();
  }

  /** Reads n elements from one on, at most {@link #PIECE}, of a tensor of F32, F16 or BF16. */
  public void read(String name, long from, int n, double[] to) {
    SourceModel.Tensor tensor = tensor(name);
    ElementType type = ElementType.valueOf(tensor.dtype());
    ByteBuffer bytes = read(tensor, from, n, type.bytes());
    MergeKernel.widen(new MergeKernel.Input(type, bytes), 0, n, to, shorts, ints);
  }

  /** Reads doubles of a tensor of F64. */
  public void readF64(String name, long from, int n, double[] to) {
    read(tensor(name), from, n, Double.BYTES).asDoubleBuffer().get(to, 0, n);
  }

  /** Reads whole numbers of a tensor of I64. */
  public void readI64(String name, long from, int n, long[] to) {
    read(tensor(name), from, n, Long.BYTES).asLongBuffer().get(to, 0, n);
  }

  /** Whether a tensor has the same bytes in another model, where it has the same length. */
  public boolean sameBytes(String name, TensorReader other) {
    long length = bytes(name);
    for (long at = 0; at < length; at += PIECE) {
      int n = (int) Math.min(PIECE, length - at);
      if (!raw(name, at, n).equals(other.raw(name, at, n))) {
        return false;
      }
    }
    return true;
  }

  /** Raw bytes of a tensor from a byte on, at most eight times {@link #PIECE}. */
  ByteBuffer raw(String name, long from, int n) {
    return read(tensor(name), from, n, 1);
  }

  @Override
  public void close() {
    model.close();
  }
}
