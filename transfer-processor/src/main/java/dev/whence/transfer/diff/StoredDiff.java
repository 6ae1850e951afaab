package dev.whence.transfer.diff;

import dev.whence.engine.weights.ElementType;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Directories;
import dev.whence.transfer.merge.DirectoryWriter;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.TensorReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntConsumer;

/**
 * A diff vector on disk: a directory in the layout of a model, whose tensors are {@code F - B} in
 * the models' type. That is exact where Sterbenz' lemma holds (the same sign and {@code |B|/2 <=
 * |F| <= 2 |B|}) and wherever the difference happens to be a number of that type. Where {@code B +
 * delta} would not give F back, the difference stands beside it in a wider type: {@code
 * NAME.exceptions.at} (I64, ascending) and {@code NAME.exceptions.delta} (F32, or F64 where F32
 * would not give some of them back). The fine-tuned model's texts are there, too.
 *
 * <p>A difference can not say which zero a sum is: {@code x + -x} is 0.0, and 0.0 + -0.0 is, too.
 * Where F is -0.0 and {@code B + delta} is not, the place stands in {@code NAME.negative-zeros.at};
 * where B is -0.0, which {@code F - delta} never is, in {@code NAME.base-negative-zeros.at} (I64,
 * ascending). They count where a sum is zero, so only where the model has the base's number.
 *
 * <p>The metadata of its file say what it is ({@link DirectoryWriter#OF_DIFF}): a model, whose
 * tensors have the same names and types, would pass for one.
 */
public final class StoredDiff implements AutoCloseable {
  static final String AT = ".exceptions.at";
  static final String DELTA = ".exceptions.delta";

  /** Whose negative zeros a sum with the difference would not give back. */
  enum Side {
    /** Of {@code B + delta}. */
    FINE_TUNED(".negative-zeros.at"),
    /** Of {@code F - delta}. */
    BASE(".base-negative-zeros.at");

    private final String suffix;

    Side(String suffix) {
      this.suffix = suffix;
    }

    String suffix() {
      return suffix;
    }

    /** What a sum with a factor comes out at: none of the two if it is neither 1 nor -1. */
    static Optional<Side> of(double weight) {
      return weight == 1
          ? Optional.of(FINE_TUNED)
          : weight == -1 ? Optional.of(BASE) : Optional.empty();
    }
  }

  /** Some of the ascending places of a tensor, in {@link #positions}. */
  private interface Places {
    void take(long first, int count);
  }

  private final TensorReader reader;
  private final Map<String, TensorReader.Info> tensors;
  private final Map<String, TensorReader.Info> all;
  private final double[] exceptions = new double[TensorReader.PIECE];
  private final long[] positions = new long[TensorReader.PIECE];

  private StoredDiff(TensorReader reader) {
    this.reader = reader;
    this.all = reader.tensors();
    this.tensors = new TreeMap<>(all);
    tensors
        .keySet()
        .removeIf(
            name ->
                name.endsWith(AT)
                    || name.endsWith(DELTA)
                    || Arrays.stream(Side.values()).anyMatch(side -> name.endsWith(side.suffix())));
  }

  /**
   * Opens a diff vector.
   *
   * @throws TransferException if it is none
   */
  public static StoredDiff open(Path directory) {
    if (!Directories.isDirectory(directory)) {
      throw new TransferException(
          "the diff " + directory + " is no directory of safetensors files");
    }
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
    if (!reader.isDiff()) {
      throw new TransferException(
          directory
              + " is no stored diff vector by its metadata: 'whence transfer extract' makes one out of two"
              + " models");
    }
    List<String> problems = new ArrayList<>();
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
        problems.add(
            directory + " is no diff vector: '" + tensor.name() + "' is not stored as one");
      }
    }
    for (TensorReader.Info places : all.values()) {
      for (Side side : Side.values()) {
        if (places.name().endsWith(side.suffix()) && !arePlaces(places, side)) {
          problems.add(
              directory
                  + " is no diff vector: '"
                  + places.name()
                  + "' does not name ascending places of a tensor");
        }
      }
    }
    TransferException.refuse(problems);
  }

  /** Whether a tensor has some of the places of the one that it is named after, in order. */
  private boolean arePlaces(TensorReader.Info places, Side side) {
    String name = places.name().substring(0, places.name().length() - side.suffix().length());
    TensorReader.Info tensor = tensors.get(name);
    if (tensor == null
        || !places.dtype().equals("I64")
        || places.shape().size() != 1
        || places.elements() > tensor.elements()) {
      return false;
    }
    long last = -1;
    for (long at = 0; at < places.elements(); at += TensorReader.PIECE) {
      int n = (int) Math.min(TensorReader.PIECE, places.elements() - at);
      reader.readI64(places.name(), at, n, positions);
      for (int i = 0; i < n; i++) {
        if (positions[i] <= last) {
          return false;
        }
        last = positions[i];
      }
    }
    return last < tensor.elements();
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
    return count(name + AT);
  }

  /** Negative zeros of a tensor that a sum would not give back. */
  long negativeZeros(String name, Side side) {
    return count(name + side.suffix());
  }

  private long count(String places) {
    TensorReader.Info at = all.get(places);
    return at == null ? 0 : at.elements();
  }

  /** Reads n differences from one on, the exceptions in their places. */
  public void read(String name, long from, int n, double[] to) {
    reader.read(name, from, n, to);
    TensorReader.Info delta = all.get(name + DELTA);
    if (delta == null) {
      return;
    }
    places(
        name + AT,
        from,
        n,
        (first, count) -> {
          if (delta.dtype().equals("F64")) {
            reader.readF64(name + DELTA, first, count, exceptions);
          } else {
            reader.read(name + DELTA, first, count, exceptions);
          }
          for (int i = 0; i < count; i++) {
            to[(int) (positions[i] - from)] = exceptions[i];
          }
        });
  }

  /** Tells which of n elements from one on are negative zeros that a sum would not give back. */
  void negativeZeros(String name, Side side, long from, int n, IntConsumer element) {
    places(
        name + side.suffix(),
        from,
        n,
        (first, count) -> {
          for (int i = 0; i < count; i++) {
            element.accept((int) (positions[i] - from));
          }
        });
  }

  /** The places within n elements from one on, in pieces. */
  private void places(String name, long from, int n, Places places) {
    long count = count(name);
    for (long at = count == 0 ? 0 : firstFrom(name, count, from); at < count; ) {
      int read = (int) Math.min(TensorReader.PIECE, count - at);
      reader.readI64(name, at, read, positions);
      int inside = 0;
      while (inside < read && positions[inside] < from + n) {
        if (positions[inside] < (inside == 0 ? from : positions[inside - 1] + 1)) {
          throw new TransferException("the places of '" + name + "' are not in order");
        }
        inside++;
      }
      places.take(at, inside);
      if (inside < read) {
        return;
      }
      at += read;
    }
  }

  /** The first place at or after a position, by bisection on the disk. */
  private long firstFrom(String places, long count, long position) {
    long low = 0;
    long high = count;
    long[] one = new long[1];
    while (low < high) {
      long middle = (low + high) >>> 1;
      reader.readI64(places, middle, 1, one);
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
