package dev.whence.transfer.diff;

import dev.whence.engine.weights.ElementType;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.TensorReader;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * A diff vector on disk: a directory in the layout of a model, whose tensors are {@code F - B} in
 * the models' type. That is exact where Sterbenz' lemma holds (the same sign and {@code |B|/2 <=
 * |F| <= 2 |B|}) and wherever the difference happens to be a number of that type. Where {@code B +
 * delta} would not give F back, the difference stands beside it in a wider type: {@code
 * NAME.exceptions.at} (I64, ascending) and {@code NAME.exceptions.delta} (F32, or F64 where F32
 * would not give some of them back). The fine-tuned model's texts are there, too.
 */
public final class StoredDiff implements AutoCloseable {
  static final String AT = ".exceptions.at";
  static final String DELTA = ".exceptions.delta";

  private final TensorReader reader;
  private final Map<String, TensorReader.Info> tensors;
  private final Map<String, TensorReader.Info> all;
  private final double[] exceptions = new double[TensorReader.PIECE];
  private final long[] positions = new long[TensorReader.PIECE];

  private StoredDiff(TensorReader reader) {
    this.reader = reader;
    this.all = reader.tensors();
    this.tensors = new TreeMap<>(all);
    tensors.keySet().removeIf(name -> name.endsWith(AT) || name.endsWith(DELTA));
  }

  /**
   * Opens a diff vector.
   *
   * @throws TransferException if it is none
   */
  public static StoredDiff open(Path directory) {
    TensorReader reader = TensorReader.open(Role.FINE_TUNED, directory);
    try {
      StoredDiff diff = new StoredDiff(reader);
      diff.check(directory);
      return diff;
    } catch (RuntimeException e) {
      reader.close();
      throw e;
    }
  }

  private void check(Path directory) {
    for (TensorReader.Info tensor : tensors.values()) {
      TensorReader.Info at = all.get(tensor.name() + AT);
      TensorReader.Info delta = all.get(tensor.name() + DELTA);
      boolean none = at == null && delta == null;
      boolean good =
          at != null
              && delta != null
              && at.dtype().equals("I64")
              && (delta.dtype().equals("F32") || delta.dtype().equals("F64"))
              && at.elements() == delta.elements();
      if (!tensor.isFloat() || !(none || good)) {
        throw new TransferException(
            directory + " is no diff vector: '" + tensor.name() + "' is not stored as one");
      }
    }
  }

  /** The differences, by name. */
  public Map<String, TensorReader.Info> tensors() {
    return tensors;
  }

  TensorReader reader() {
    return reader;
  }

  /** Elements of a tensor that stand in the wider type. */
  public long exceptions(String name) {
    TensorReader.Info at = all.get(name + AT);
    return at == null ? 0 : at.elements();
  }

  /** Reads n differences from one on, the exceptions in their places. */
  public void read(String name, long from, int n, double[] to) {
    reader.read(name, from, n, to);
    long count = exceptions(name);
    TensorReader.Info delta = all.get(name + DELTA);
    if (count == 0 || delta == null) {
      return;
    }
    for (long at = firstFrom(name, count, from); at < count; at += TensorReader.PIECE) {
      int piece = (int) Math.min(TensorReader.PIECE, count - at);
      reader.readI64(name + AT, at, piece, positions);
      if (delta.dtype().equals("F64")) {
        reader.readF64(name + DELTA, at, piece, exceptions);
      } else {
        reader.read(name + DELTA, at, piece, exceptions);
      }
      for (int i = 0; i < piece; i++) {
        if (positions[i] >= from + n) {
          return;
        }
        if (positions[i] < from) {
          throw new TransferException("the exceptions of '" + name + "' are not in order");
        }
        to[(int) (positions[i] - from)] = exceptions[i];
      }
    }
  }

  /** The first exception at or after a position, by bisection on the disk. */
  private long firstFrom(String name, long count, long position) {
    long low = 0;
    long high = count;
    long[] one = new long[1];
    while (low < high) {
      long middle = (low + high) >>> 1;
      reader.readI64(name + AT, middle, 1, one);
      if (one[0] < position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** The wider of two types: what their difference is stored in. */
  static ElementType wider(ElementType one, ElementType other) {
    return one == other ? one : ElementType.F32;
  }

  @Override
  public void close() {
    reader.close();
  }
}
