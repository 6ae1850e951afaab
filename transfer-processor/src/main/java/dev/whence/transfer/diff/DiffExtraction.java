package dev.whence.transfer.diff;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.DirectoryWriter;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.TensorReader;
import dev.whence.transfer.merge.UnfitTensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Takes {@code delta = F - B} out of two models and stores it as a {@link StoredDiff}. Every
 * element is checked by {@code B + delta = F}; those for which it does not hold in the stored type
 * become exceptions, those that no difference gives back (one of the two vanishes beside the other)
 * are counted, and negative zeros that a sum would lose are noted by their place. Those of which
 * {@code F - delta} does not give B back, since the difference was rounded, are counted, too.
 * Tensors of whole numbers have no difference and must be the same in both. Reads both models
 * twice: once to count, since a safetensors header says how long everything is, and once to write.
 */
public final class DiffExtraction {
  private DiffExtraction() {}

  /**
   * What was stored.
   *
   * @param elements of all tensors
   * @param exceptions in a wider type
   * @param inexact of F that B and the stored difference do not give back, exception or not
   * @param inexactBack of B that F without the stored difference does not give back
   */
  public record Extracted(long elements, long exceptions, long inexact, long inexactBack) {}

  private record Pair(
      String name, List<Long> shape, long elements, ElementType base, ElementType fineTuned) {
    ElementType stored() {
      return StoredDiff.wider(base, fineTuned);
    }
  }

  /**
   * Extracts.
   *
   * @param output a directory that does not exist
   * @throws TransferException with all reasons if the models do not match
   */
  public static Extracted extract(Path base, Path fineTuned, Path output) {
    refuseUnreadable(base, fineTuned);
    try (TensorReader b = TensorReader.openModel(Role.BASE, base);
        TensorReader f = TensorReader.openModel(Role.FINE_TUNED, fineTuned)) {
      List<Pair> pairs = pairs(b, f);
      TransferException.refuse(
          DirectoryWriter.problems(
              output,
              pairs.stream().mapToLong(pair -> pair.elements() * pair.stored().bytes()).sum()));
      Map<String, Counting> counts = new TreeMap<>();
      UnfitTensors unfit = new UnfitTensors();
      for (Pair pair : pairs) {
        Counting counting = new Counting();
        each(pair, b, f, counting);
        var unused = unfit.add(counting.unfit);
        counts.put(pair.name(), counting);
        if (unfit.isEnough()) {
          break;
        }
      }
      unfit.refuse();
      write(pairs, counts, b, f, output);
      return new Extracted(
          pairs.stream().mapToLong(Pair::elements).sum(),
          counts.values().stream().mapToLong(count -> count.exceptions).sum(),
          counts.values().stream().mapToLong(count -> count.inexact).sum(),
          counts.values().stream().mapToLong(Counting::inexactBack).sum());
    }
  }

  /** With what is wrong with both. */
  private static void refuseUnreadable(Path base, Path fineTuned) {
    List<String> problems = new ArrayList<>();
    for (Role role : List.of(Role.BASE, Role.FINE_TUNED)) {
      try {
        TensorReader.openModel(role, role == Role.BASE ? base : fineTuned).close();
      } catch (TransferException e) {
        if (TransferException.isOfEnvironment(e)) {
          throw e;
        }
        problems.addAll(e.reasons());
      }
    }
    TransferException.refuse(problems);
  }

  private static List<Pair> pairs(TensorReader b, TensorReader f) {
    List<String> problems = new ArrayList<>();
    List<Pair> pairs = new ArrayList<>();
    if (!DirectoryWriter.sameTokens(b, f)) {
      problems.add("the vocabularies of base and fine-tuned model differ");
    }
    Map<String, TensorReader.Info> theirs = f.tensors();
    for (TensorReader.Info mine : b.tensors().values()) {
      TensorReader.Info other = theirs.remove(mine.name());
      if (SafetensorsShards.isBuffer(mine.name())) {
        continue; // computed from the config
      }
      if (other == null) {
        problems.add("'" + mine.name() + "' is not in the fine-tuned model");
      } else if (mine.isOtherFloat() || other.isOtherFloat()) {
        problems.add(
            "'"
                + mine.name()
                + "' is "
                + mine.dtype()
                + " in base, "
                + other.dtype()
                + " in the fine-tuned model, but differences are of F32, F16 and BF16");
      } else if (!mine.isFloat()
          && mine.dtype().equals(other.dtype())
          && mine.shape().equals(other.shape())) {
        if (!b.sameBytes(mine.name(), f)) {
          problems.add(
              "'"
                  + mine.name()
                  + "' is "
                  + mine.dtype()
                  + " and not the same in both models: only F32, F16 and BF16 have a difference");
        }
      } else if (!mine.shape().equals(other.shape()) || !mine.isFloat() || !other.isFloat()) {
        problems.add(
            "'"
                + mine.name()
                + "' is "
                + mine.dtype()
                + " "
                + mine.shape()
                + " in base, "
                + other.dtype()
                + " "
                + other.shape()
                + " in the fine-tuned model");
      } else {
        pairs.add(
            new Pair(
                mine.name(),
                mine.shape(),
                mine.elements(),
                ElementType.valueOf(mine.dtype()),
                ElementType.valueOf(other.dtype())));
      }
    }
    theirs.keySet().stream()
        .filter(name -> !SafetensorsShards.isBuffer(name))
        .forEach(name -> problems.add("'" + name + "' is not in base"));
    TransferException.refuse(problems);
    return pairs;
  }

  /** Takes the differences of one piece. */
  private interface Piece {
    void take(Pair pair, long from, int n, double[] base, double[] fineTuned);
  }

  private static void each(Pair pair, TensorReader b, TensorReader f, Piece piece) {
    double[] base = new double[TensorReader.PIECE];
    double[] fineTuned = new double[TensorReader.PIECE];
    for (long at = 0; at < pair.elements(); at += TensorReader.PIECE) {
      int n = (int) Math.min(TensorReader.PIECE, pair.elements() - at);
      b.read(pair.name(), at, n, base);
      f.read(pair.name(), at, n, fineTuned);
      piece.take(pair, at, n, base, fineTuned);
    }
  }

  /** The difference; that of two negative zeros is one, too, since only that gives it back. */
  private static double delta(double base, double fineTuned) {
    return base == 0 ? fineTuned : fineTuned - base;
  }

  /** Whether the fine-tuned number comes back with all its bits, the sign of a zero included. */
  private static boolean restores(Pair pair, double base, double delta, double fineTuned) {
    return Double.doubleToRawLongBits(DirectoryWriter.rounded(pair.fineTuned(), base + delta))
        == Double.doubleToRawLongBits(fineTuned);
  }

  /** Whether the base's number does not come back; the sign of a zero does, by its place. */
  private static boolean isLostBack(Pair pair, double base, double delta, double fineTuned) {
    return DirectoryWriter.rounded(pair.base(), fineTuned - delta) != base;
  }

  private static boolean isException(Pair pair, double base, double fineTuned) {
    double delta = delta(base, fineTuned);
    double stored = DirectoryWriter.rounded(pair.stored(), delta);
    // The sign of a zero is lost in every type: its place is noted instead.
    return !restores(pair, base, stored, fineTuned) && !(fineTuned == 0 && stored == delta);
  }

  /** Whether a model's number is a negative zero that the sum at its side would not be. */
  private static boolean isLostZero(StoredDiff.Side side, double base, double fineTuned) {
    return switch (side) {
      case FINE_TUNED -> isNegativeZero(fineTuned) && !isNegativeZero(base);
      case BASE -> isNegativeZero(base);
    };
  }

  static boolean isNegativeZero(double value) {
    return value == 0 && Double.doubleToRawLongBits(value) != 0;
  }

  /** What one tensor needs. */
  private static final class Counting implements Piece {
    private long exceptions;
    private long inexact;
    private long inexactBack;
    private long exceptionsBack;
    private long wideExceptionsBack;
    private boolean wide;
    private Optional<String> unfit = Optional.empty();
    private final Map<StoredDiff.Side, Long> zeros = new EnumMap<>(StoredDiff.Side.class);

    long zeros(StoredDiff.Side side) {
      return zeros.getOrDefault(side, 0L);
    }

    /** Which type exceptions are stored in is known when all are. */
    long inexactBack() {
      return inexactBack + (wide ? wideExceptionsBack : exceptionsBack);
    }

    @Override
    public void take(Pair pair, long from, int n, double[] base, double[] fineTuned) {
      for (int i = 0; i < n && unfit.isEmpty(); i++) {
        if (!Double.isFinite(base[i]) || !Double.isFinite(fineTuned[i])) {
          boolean ofBase = !Double.isFinite(base[i]);
          unfit =
              Optional.of(
                  "tensor '"
                      + SafetensorsFile.printable(pair.name())
                      + "', element "
                      + (from + i)
                      + " is "
                      + (ofBase ? base[i] : fineTuned[i])
                      + " in the "
                      + (ofBase ? "base" : "fine-tuned")
                      + " model: it has no difference");
          return;
        }
        double delta = delta(base[i], fineTuned[i]);
        double stored = delta;
        if (isException(pair, base[i], fineTuned[i])) {
          exceptions++;
          wide |= !restores(pair, base[i], (float) delta, fineTuned[i]);
          exceptionsBack += isLostBack(pair, base[i], (float) delta, fineTuned[i]) ? 1 : 0;
          wideExceptionsBack += isLostBack(pair, base[i], delta, fineTuned[i]) ? 1 : 0;
        } else {
          stored = DirectoryWriter.rounded(pair.stored(), delta);
          inexactBack += isLostBack(pair, base[i], stored, fineTuned[i]) ? 1 : 0;
        }
        if (fineTuned[i] != 0 && !restores(pair, base[i], stored, fineTuned[i])) {
          inexact++;
        }
        for (StoredDiff.Side side : StoredDiff.Side.values()) {
          if (isLostZero(side, base[i], fineTuned[i])) {
            zeros.merge(side, 1L, Long::sum);
          }
        }
      }
    }
  }

  private static void write(
      List<Pair> pairs, Map<String, Counting> counts, TensorReader b, TensorReader f, Path output) {
    List<SafetensorsHeader.Tensor> tensors = new ArrayList<>();
    for (Pair pair : pairs) {
      tensors.add(
          new SafetensorsHeader.Tensor(
              pair.name(),
              pair.stored().name(),
              pair.shape(),
              pair.elements() * pair.stored().bytes()));
      Counting counted = Objects.requireNonNull(counts.get(pair.name()));
      long count = counted.exceptions;
      if (count > 0) {
        boolean wide = counted.wide;
        tensors.add(
            new SafetensorsHeader.Tensor(
                pair.name() + StoredDiff.AT, "I64", List.of(count), count * Long.BYTES));
        tensors.add(
            new SafetensorsHeader.Tensor(
                pair.name() + StoredDiff.DELTA,
                wide ? "F64" : "F32",
                List.of(count),
                count * (wide ? Double.BYTES : Float.BYTES)));
      }
      for (StoredDiff.Side side : StoredDiff.Side.values()) {
        long zeros = counted.zeros(side);
        if (zeros > 0) {
          tensors.add(placesOf(pair.name(), side, zeros));
        }
      }
    }
    try (DirectoryWriter out = new DirectoryWriter(output, tensors, DirectoryWriter.OF_DIFF)) {
      for (Pair pair : pairs) {
        each(
            pair,
            b,
            f,
            (same, from, n, base, fineTuned) -> {
              for (int i = 0; i < n; i++) {
                base[i] = delta(base[i], fineTuned[i]);
              }
              out.write(pair.stored(), base, n);
            });
        Counting counted = Objects.requireNonNull(counts.get(pair.name()));
        if (counted.exceptions > 0) {
          each(pair, b, f, new Exceptions(out, false, counted.wide));
          each(pair, b, f, new Exceptions(out, true, counted.wide));
        }
        for (StoredDiff.Side side : StoredDiff.Side.values()) {
          if (counted.zeros(side) > 0) {
            each(pair, b, f, new LostZeros(out, side));
          }
        }
      }
      out.publish(DirectoryWriter.textsOf(f));
    }
  }

  /** The places of some negative zeros, as a tensor. */
  static SafetensorsHeader.Tensor placesOf(String tensor, StoredDiff.Side side, long count) {
    return new SafetensorsHeader.Tensor(
        tensor + side.suffix(), "I64", List.of(count), count * Long.BYTES);
  }

  /** Writes the places of negative zeros. */
  private record LostZeros(DirectoryWriter out, StoredDiff.Side side) implements Piece {
    @Override
    public void take(Pair pair, long from, int n, double[] base, double[] fineTuned) {
      long[] at = new long[n];
      int count = 0;
      for (int i = 0; i < n; i++) {
        if (isLostZero(side, base[i], fineTuned[i])) {
          at[count++] = from + i;
        }
      }
      out.writeI64(at, count);
    }
  }

  /** Writes the places of exceptions, or their differences. */
  private record Exceptions(DirectoryWriter out, boolean deltas, boolean wide) implements Piece {
    @Override
    public void take(Pair pair, long from, int n, double[] base, double[] fineTuned) {
      long[] at = new long[n];
      double[] delta = new double[n];
      int count = 0;
      for (int i = 0; i < n; i++) {
        if (isException(pair, base[i], fineTuned[i])) {
          at[count] = from + i;
          delta[count++] = delta(base[i], fineTuned[i]);
        }
      }
      if (!deltas) {
        out.writeI64(at, count);
      } else if (wide) {
        out.writeF64(delta, count);
      } else {
        out.write(ElementType.F32, delta, count);
      }
    }
  }
}
