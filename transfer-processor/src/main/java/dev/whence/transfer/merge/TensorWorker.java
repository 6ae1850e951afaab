package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;

/**
 * Makes tensors, one after the other, in pieces that fit its buffers: positional reads of target,
 * base and fine-tuned into direct buffers, the arithmetic, a positional write for each lambda. The
 * bytes that pass are digested on the way, so that nothing is read twice. Belongs to one thread.
 */
final class TensorWorker {
  private static final int HASHED_AT_ONCE = 1 << 16;

  private final int pieceBytes;
  private final int results;
  private final MergeKernel kernel;
  private final MergeKernel copy;
  private final LongConsumer moved;
  private final ByteBuffer target;
  private final ByteBuffer base;
  private final ByteBuffer fineTuned;
  private final ByteBuffer[] outputs;
  private final byte[] scratch = new byte[HASHED_AT_ONCE];

  /**
   * @param pieceBytes of each of the buffers: three and one for each lambda
   * @param moved hears of bytes read and written, and may throw to stop the work
   */
  TensorWorker(
      List<Double> lambdas, Policies.NonFinite nonFinite, int pieceBytes, LongConsumer moved) {
    this.pieceBytes = pieceBytes;
    this.results = lambdas.size();
    this.kernel =
        new MergeKernel(lambdas.stream().mapToDouble(Double::doubleValue).toArray(), nonFinite);
    double[] ones = new double[results];
    Arrays.fill(ones, 1);
    this.copy = new MergeKernel(ones, nonFinite);
    this.moved = moved;
    this.target = direct(pieceBytes);
    this.base = direct(pieceBytes);
    this.fineTuned = direct(pieceBytes);
    this.outputs = new ByteBuffer[results];
    Arrays.setAll(outputs, k -> direct(pieceBytes));
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Digests of one input or output, in the order of its bytes. */
  private final class Sum {
    private final MessageDigest sha256 = Digests.sha256();
    private final CRC32C crc = new CRC32C();

    /** Of what is written: also its checksum for the journal. */
    void addWritten(ByteBuffer bytes) {
      crc.update(bytes.duplicate());
      add(bytes);
    }

    void add(ByteBuffer bytes) {
      for (int at = bytes.position(); at < bytes.limit(); at += HASHED_AT_ONCE) {
        int n = Math.min(HASHED_AT_ONCE, bytes.limit() - at);
        bytes.get(at, scratch, 0, n);
        sha256.update(scratch, 0, n);
      }
    }

    String hex() {
      return HexFormat.of().formatHex(sha256.digest());
    }
  }

  /** What was read and written of one tensor. */
  private final class Sums {
    private final Map<String, Sum> read = new TreeMap<>();
    private final List<Sum> written = new ArrayList<>();

    Sums() {
      for (int k = 0; k < results; k++) {
        written.add(new Sum());
      }
    }

    Sum of(Role role, SourceModel.Tensor tensor) {
      return read.computeIfAbsent(key(role, tensor.name()), key -> new Sum());
    }

    Journal.Entry entry(String work) {
      Map<String, String> hashes = new TreeMap<>();
      read.forEach((key, sum) -> hashes.put(key, sum.hex()));
      return new Journal.Entry(
          work,
          written.stream().map(sum -> (int) sum.crc.getValue()).toList(),
          written.stream().map(Sum::hex).toList(),
          hashes);
    }
  }

  /** How an input is called in the journal. */
  static String key(Role role, String tensor) {
    return role.word() + "/" + tensor;
  }

  /** Reads a tensor only for its digest. */
  Journal.Entry hash(String work, Role role, SourceModel.Tensor tensor) {
    Sum sum = new Sum();
    hash(tensor, sum);
    return new Journal.Entry(
        work, List.of(), List.of(), Map.of(key(role, tensor.name()), sum.hex()));
  }

  private void hash(SourceModel.Tensor tensor, Sum sum) {
    long bytes = tensor.entry().byteLength();
    for (long at = 0; at < bytes; at += base.limit()) {
      read(tensor, at, (int) Math.min(pieceBytes, bytes - at), base);
      sum.add(base);
      moved.accept(base.limit());
    }
  }

  private static void read(SourceModel.Tensor tensor, long offset, int bytes, ByteBuffer to) {
    to.clear().limit(bytes);
    tensor.read(offset, to);
    to.flip();
  }

  /** Whether what an earlier run wrote is still there. */
  boolean verify(TensorPlan plan, OutputFiles.Place place, Journal.Entry entry) throws IOException {
    for (int k = 0; k < results; k++) {
      CRC32C crc = new CRC32C();
      for (long at = 0; at < plan.bytes(); at += pieceBytes) {
        target.clear().limit((int) Math.min(pieceBytes, plan.bytes() - at));
        place.read(k, at, target);
        crc.update(target.flip());
      }
      if ((int) crc.getValue() != entry.crc32c().get(k)) {
        return false;
      }
    }
    return true;
  }

  /** Makes a tensor of all results. */
  Journal.Entry make(TensorPlan plan, OutputFiles.Place place) {
    Sums sums = new Sums();
    TensorPlan.Treatment treatment = plan.treatment();
    if (treatment instanceof TensorPlan.Merge merge) {
      merge(plan, merge, place, sums);
    } else if (treatment instanceof TensorPlan.MergeRows merge) {
      mergeRows(plan, merge, place, sums);
    } else if (treatment instanceof TensorPlan.KeepEqual keep) {
      keepEqual(keep, place, sums);
    } else if (treatment instanceof TensorPlan.Keep keep) {
      keep(keep.target(), place, sums);
    }
    return sums.entry(plan.name());
  }

  private void merge(TensorPlan plan, TensorPlan.Merge merge, OutputFiles.Place place, Sums sums) {
    ElementType t = ElementType.valueOf(plan.dtype());
    ElementType b = ElementType.valueOf(merge.base().dtype());
    ElementType f = ElementType.valueOf(merge.fineTuned().dtype());
    int most = pieceBytes / Math.max(t.bytes(), Math.max(b.bytes(), f.bytes()));
    Sum ofTarget = sums.of(Role.TARGET, merge.target());
    Sum ofBase = sums.of(Role.BASE, merge.base());
    Sum ofFineTuned = sums.of(Role.FINE_TUNED, merge.fineTuned());
    for (long at = 0; at < plan.elements(); at += most) {
      int n = (int) Math.min(most, plan.elements() - at);
      read(merge.target(), at * t.bytes(), n * t.bytes(), target);
      read(merge.base(), at * b.bytes(), n * b.bytes(), base);
      read(merge.fineTuned(), at * f.bytes(), n * f.bytes(), fineTuned);
      ofTarget.add(target);
      ofBase.add(base);
      ofFineTuned.add(fineTuned);
      for (ByteBuffer output : outputs) {
        output.clear().limit(n * t.bytes());
      }
      run(kernel, plan, t, b, f, n, at * t.bytes() + merge.target().entry().begin());
      moved.accept((long) n * (t.bytes() + b.bytes() + f.bytes()));
      write(place, at * t.bytes(), sums);
    }
  }

  private void run(
      MergeKernel with,
      TensorPlan plan,
      ElementType t,
      ElementType b,
      ElementType f,
      int n,
      long targetPosition) {
    try {
      with.merge(
          new MergeKernel.Input(t, target),
          new MergeKernel.Input(b, base),
          new MergeKernel.Input(f, fineTuned),
          n,
          outputs);
    } catch (MergeKernel.NonFiniteException e) {
      throw new TransferException(
          "tensor '"
              + SafetensorsFile.printable(plan.name())
              + "', byte "
              + (targetPosition + e.element() * t.bytes())
              + " of the target: the element "
              + e.getMessage()
              + "; the policy non-finite propagate would let it pass",
          e);
    }
  }

  private void write(OutputFiles.Place place, long offset, Sums sums) {
    for (int k = 0; k < results; k++) {
      sums.written.get(k).addWritten(outputs[k]);
      int bytes = outputs[k].remaining();
      place.write(k, offset, outputs[k]);
      moved.accept(bytes);
    }
  }

  private void keep(SourceModel.Tensor kept, OutputFiles.Place place, Sums sums) {
    Sum ofTarget = sums.of(Role.TARGET, kept);
    long bytes = kept.entry().byteLength();
    for (long at = 0; at < bytes; at += pieceBytes) {
      read(kept, at, (int) Math.min(pieceBytes, bytes - at), target);
      ofTarget.add(target);
      moved.accept(target.limit());
      for (ByteBuffer output : outputs) {
        output.clear().put(target.duplicate()).flip();
      }
      write(place, at, sums);
    }
  }

  private void keepEqual(TensorPlan.KeepEqual keep, OutputFiles.Place place, Sums sums) {
    Sum ofBase = sums.of(Role.BASE, keep.base());
    Sum ofFineTuned = sums.of(Role.FINE_TUNED, keep.fineTuned());
    long bytes = keep.base().entry().byteLength();
    for (long at = 0; at < bytes; at += pieceBytes) {
      int n = (int) Math.min(pieceBytes, bytes - at);
      read(keep.base(), at, n, base);
      read(keep.fineTuned(), at, n, fineTuned);
      ofBase.add(base);
      ofFineTuned.add(fineTuned);
      moved.accept(2L * n);
      int differs = base.mismatch(fineTuned);
      if (differs >= 0) {
        throw new TransferException(
            "tensor '"
                + SafetensorsFile.printable(keep.base().name())
                + "', byte "
                + (keep.fineTuned().entry().begin() + at + differs)
                + " of the fine-tuned model: "
                + keep.base().dtype()
                + " numbers differ from the base's, and only floating point differences can be"
                + " carried over");
      }
    }
    keep(keep.target(), place, sums);
  }

  private void mergeRows(
      TensorPlan plan, TensorPlan.MergeRows merge, OutputFiles.Place place, Sums sums) {
    hash(merge.target(), sums.of(Role.TARGET, merge.target()));
    hash(merge.base(), sums.of(Role.BASE, merge.base()));
    hash(merge.fineTuned(), sums.of(Role.FINE_TUNED, merge.fineTuned()));
    ElementType t = ElementType.valueOf(plan.dtype());
    ElementType b = ElementType.valueOf(merge.base().dtype());
    ElementType f = ElementType.valueOf(merge.fineTuned().dtype());
    RowMap map = merge.rows();
    int row = Math.toIntExact(plan.elements() / Math.max(1, map.rows()));
    int widest = Math.max(t.bytes(), Math.max(b.bytes(), f.bytes()));
    int most = row == 0 ? map.rows() : (int) (pieceBytes / ((long) row * widest));
    if (most == 0) {
      throw new TransferException(
          "a row of '"
              + SafetensorsFile.printable(plan.name())
              + "' has "
              + row
              + " elements and does not fit a buffer of "
              + pieceBytes
              + " bytes: give the merge more memory");
    }
    for (int from = 0; from < map.rows(); ) {
      int to = run(map, from, Math.min(map.rows(), from + most));
      int n = (to - from) * row;
      for (ByteBuffer output : outputs) {
        output.clear().limit(n * t.bytes());
      }
      boolean appended = map.target()[from] == RowMap.NONE;
      boolean merged =
          !appended && map.base()[from] != RowMap.NONE && map.fineTuned()[from] != RowMap.NONE;
      if (!appended) {
        read(merge.target(), at(map.target()[from], row, t), n * t.bytes(), target);
      }
      if (merged || appended) {
        read(merge.fineTuned(), at(map.fineTuned()[from], row, f), n * f.bytes(), fineTuned);
      }
      long position = merge.target().entry().begin() + at(Math.max(0, map.target()[from]), row, t);
      if (merged) {
        read(merge.base(), at(map.base()[from], row, b), n * b.bytes(), base);
        run(kernel, plan, t, b, f, n, position);
      } else if (appended) {
        // Nothing to add to: zero plus the fine-tuned row, which is that row, rounded once.
        zeros(target, n * t.bytes());
        zeros(base, n * t.bytes());
        run(copy, plan, t, t, f, n, position);
      } else {
        for (ByteBuffer output : outputs) {
          output.clear().put(target.duplicate()).flip();
        }
      }
      write(place, at(from, row, t), sums);
      from = to;
    }
  }

  private static long at(int row, int elements, ElementType type) {
    return (long) row * elements * type.bytes();
  }

  private static void zeros(ByteBuffer buffer, int bytes) {
    buffer.clear().limit(bytes);
    for (int i = 0; i < bytes; i++) {
      buffer.put(i, (byte) 0);
    }
  }

  /** The end of the rows from one on that follow each other in all three models. */
  private static int run(RowMap map, int from, int most) {
    int to = from + 1;
    while (to < most
        && follows(map.target(), to)
        && follows(map.base(), to)
        && follows(map.fineTuned(), to)) {
      to++;
    }
    return to;
  }

  private static boolean follows(int[] rows, int at) {
    return rows[at - 1] == RowMap.NONE ? rows[at] == RowMap.NONE : rows[at] == rows[at - 1] + 1;
  }
}
