package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
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
 * bytes that pass are digested on the way, so that nothing is read twice; but for tensors whose
 * rows go together by token: a digest needs the order of the file, and the rows come in another, so
 * these are read once for each, both times through the page cache. Belongs to one thread.
 *
 * <p>Outputs lie in memory as they will lie in their file, modulo its blocks, and a piece ends
 * where a block does if its elements allow it: so what goes past the page cache goes as it lies.
 * Where a position and limit of a buffer are given, its content is between them.
 *
 * <p>A piece is digested and merged in parts that stay in the second cache, since memory is slower
 * than either.
 */
final class TensorWorker {
  private static final int HASHED_AT_ONCE = 1 << 13;
  private static final int PART = 1 << 14; // elements

  private final InputFiles inputs;
  private final int pieceBytes;
  private final int block;
  private final int results;
  private final MergeKernel kernel;
  private final MergeKernel copy;
  private final LongConsumer moved;
  private final ByteBuffer target;
  private final ByteBuffer base;
  private final ByteBuffer fineTuned;
  private final ByteBuffer[] outputs;
  private final byte[] scratch = new byte[HASHED_AT_ONCE];
  private boolean looking;

  /**
   * @param pieceBytes of each of the buffers: three and one for each lambda
   * @param block the largest of the files read and written
   * @param moved hears of bytes read and written, maybe none, and may throw to stop the work
   */
  TensorWorker(
      InputFiles inputs,
      List<Double> lambdas,
      Policies.NonFinite nonFinite,
      int pieceBytes,
      int block,
      LongConsumer moved) {
    this.inputs = inputs;
    this.pieceBytes = pieceBytes;
    this.block = block;
    this.results = lambdas.size();
    this.kernel =
        new MergeKernel(lambdas.stream().mapToDouble(Double::doubleValue).toArray(), nonFinite);
    double[] ones = new double[results];
    Arrays.fill(ones, 1);
    this.copy = new MergeKernel(ones, nonFinite);
    this.moved = moved;
    this.target = DirectFile.memory(pieceBytes, block);
    this.base = DirectFile.memory(pieceBytes, block);
    this.fineTuned = DirectFile.memory(pieceBytes, block);
    this.outputs = new ByteBuffer[results];
    Arrays.setAll(outputs, k -> DirectFile.memory(pieceBytes, block));
  }

  /** Digests of one input or output, in the order of its bytes. */
  private final class Sum {
    private final MessageDigest sha256 = Sha256.begin();
    private final CRC32C crc = new CRC32C();

    /** Of what is written: also its checksum for the journal. */
    void addWritten(ByteBuffer bytes) {
      if (looking) {
        return;
      }
      crc.update(bytes.duplicate());
      add(bytes);
    }

    void add(ByteBuffer bytes) {
      if (looking) {
        return;
      }
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

    void addWritten(ByteBuffer[] outputs) {
      for (int k = 0; k < results; k++) {
        written.get(k).addWritten(outputs[k]);
      }
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
    hash(tensor, sum, inputs::read);
    return new Journal.Entry(
        work, List.of(), List.of(), Map.of(key(role, tensor.name()), sum.hex()));
  }

  /** One of the two ways to read. */
  @FunctionalInterface
  private interface Reading {
    void read(SourceModel.Tensor tensor, long offset, int bytes, ByteBuffer memory);
  }

  private void hash(SourceModel.Tensor tensor, Sum sum, Reading way) {
    if (looking) {
      return;
    }
    long bytes = tensor.entry().byteLength();
    for (long at = 0; at < bytes; at += pieceBytes) {
      way.read(tensor, at, (int) Math.min(pieceBytes, bytes - at), base);
      sum.add(base);
      moved.accept(base.remaining());
    }
  }

  /** Gives the outputs position and limit for bytes that will lie at an offset of a tensor. */
  private void begin(OutputFiles.Place place, long offset, int bytes) {
    int skip = (int) ((place.position() + offset) & (block - 1));
    for (ByteBuffer output : outputs) {
      output.clear().limit(skip + bytes).position(skip);
    }
  }

  /**
   * Elements of the next piece: all that are left, or so many that it ends where a block of the
   * output does; as many as fit, where no element ends there.
   */
  private int elements(OutputFiles.Place place, long at, long left, int most, int size) {
    if (left <= most) {
      return (int) left;
    }
    long begin = place.position() + at * size;
    long end = (begin + (long) most * size) & -(long) block;
    int n = (int) ((end - begin) / size);
    return n > 0 ? n : most;
  }

  /** Part of a buffer's content. */
  private static ByteBuffer part(ByteBuffer buffer, int from, int bytes) {
    return buffer.slice(buffer.position() + from, bytes).order(buffer.order());
  }

  /** Whether what an earlier run wrote is still there; may be stopped at each piece. */
  boolean verify(TensorPlan plan, OutputFiles.Place place, Journal.Entry entry) throws IOException {
    for (int k = 0; k < results; k++) {
      CRC32C crc = new CRC32C();
      for (long at = 0; at < plan.bytes(); at += pieceBytes) {
        place.read(k, at, (int) Math.min(pieceBytes, plan.bytes() - at), target);
        crc.update(target);
        moved.accept(0); // nothing yet, but the work may be to stop
      }
      if ((int) crc.getValue() != entry.crc32c().get(k)) {
        return false;
      }
    }
    return true;
  }

  /**
   * Computes a tensor only to see whether the policies refuse it: nothing is digested or written,
   * and a tensor that is copied is not read.
   *
   * @throws UnfitException if they do
   */
  void look(TensorPlan plan, OutputFiles.Place place) {
    if (plan.treatment() instanceof TensorPlan.Keep) {
      return;
    }
    looking = true;
    try {
      var unused = make(plan, place);
    } finally {
      looking = false;
    }
  }

  /**
   * Makes a tensor of all results.
   *
   * @throws UnfitException if the policies refuse an element of it, with the first one
   */
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
    int n;
    for (long at = 0; at < plan.elements(); at += n) {
      n = elements(place, at, plan.elements() - at, most, t.bytes());
      inputs.read(merge.target(), at * t.bytes(), n * t.bytes(), target);
      inputs.read(merge.base(), at * b.bytes(), n * b.bytes(), base);
      inputs.read(merge.fineTuned(), at * f.bytes(), n * f.bytes(), fineTuned);
      begin(place, at * t.bytes(), n * t.bytes());
      for (int from = 0; from < n; from += PART) {
        int m = Math.min(PART, n - from);
        ByteBuffer ofT = part(target, from * t.bytes(), m * t.bytes());
        ByteBuffer ofB = part(base, from * b.bytes(), m * b.bytes());
        ByteBuffer ofF = part(fineTuned, from * f.bytes(), m * f.bytes());
        ByteBuffer[] merged = parts(from * t.bytes(), m * t.bytes());
        ofTarget.add(ofT);
        ofBase.add(ofB);
        ofFineTuned.add(ofF);
        run(
            kernel,
            plan,
            input(t, ofT),
            input(b, ofB),
            input(f, ofF),
            m,
            merged,
            (at + from) * t.bytes() + merge.target().entry().begin());
        sums.addWritten(merged);
      }
      moved.accept((long) n * (t.bytes() + b.bytes() + f.bytes()));
      write(place, at * t.bytes());
    }
  }

  /** The same part of all outputs. */
  private ByteBuffer[] parts(int from, int bytes) {
    ByteBuffer[] parts = new ByteBuffer[results];
    Arrays.setAll(parts, k -> part(outputs[k], from, bytes));
    return parts;
  }

  private static void run(
      MergeKernel with,
      TensorPlan plan,
      MergeKernel.Input t,
      MergeKernel.Input b,
      MergeKernel.Input f,
      int n,
      ByteBuffer[] merged,
      long targetPosition) {
    try {
      with.merge(t, b, f, n, merged);
    } catch (MergeKernel.NonFiniteException e) {
      throw new UnfitException(
          "tensor '"
              + SafetensorsFile.printable(plan.name())
              + "', byte "
              + (targetPosition + e.element() * t.type().bytes())
              + " of the target: the element "
              + e.getMessage()
              + "; the policy non-finite propagate would let it pass");
    }
  }

  private void write(OutputFiles.Place place, long offset) {
    if (looking) {
      return;
    }
    for (int k = 0; k < results; k++) {
      int bytes = outputs[k].remaining();
      place.write(k, offset, outputs[k]);
      moved.accept(bytes);
    }
  }

  private void keep(SourceModel.Tensor kept, OutputFiles.Place place, Sums sums) {
    Sum ofTarget = sums.of(Role.TARGET, kept);
    long bytes = kept.entry().byteLength();
    int n;
    for (long at = 0; at < bytes; at += n) {
      n = elements(place, at, bytes - at, pieceBytes, 1);
      inputs.read(kept, at, n, target);
      ofTarget.add(target);
      moved.accept(n);
      begin(place, at, n);
      for (ByteBuffer output : outputs) {
        output.put(output.position(), target, target.position(), n);
      }
      sums.addWritten(outputs);
      write(place, at);
    }
  }

  private void keepEqual(TensorPlan.KeepEqual keep, OutputFiles.Place place, Sums sums) {
    Sum ofBase = sums.of(Role.BASE, keep.base());
    Sum ofFineTuned = sums.of(Role.FINE_TUNED, keep.fineTuned());
    long bytes = keep.base().entry().byteLength();
    for (long at = 0; at < bytes; at += pieceBytes) {
      int n = (int) Math.min(pieceBytes, bytes - at);
      inputs.read(keep.base(), at, n, base);
      inputs.read(keep.fineTuned(), at, n, fineTuned);
      ofBase.add(base);
      ofFineTuned.add(fineTuned);
      moved.accept(2L * n);
      int differs = base.mismatch(fineTuned);
      if (differs >= 0) {
        throw new UnfitException(
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
    if (!looking) {
      keep(keep.target(), place, sums);
    }
  }

  private void mergeRows(
      TensorPlan plan, TensorPlan.MergeRows merge, OutputFiles.Place place, Sums sums) {
    // Rows are read in any order, digests need the order of the bytes: what digests read through
    // the page cache, rows find there, as far as it holds.
    hash(merge.target(), sums.of(Role.TARGET, merge.target()), inputs::readThroughCache);
    hash(merge.base(), sums.of(Role.BASE, merge.base()), inputs::readThroughCache);
    hash(merge.fineTuned(), sums.of(Role.FINE_TUNED, merge.fineTuned()), inputs::readThroughCache);
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
    int rows;
    for (int first = 0; first < map.rows(); first += rows) {
      rows = elements(place, first, map.rows() - first, most, row * t.bytes());
      begin(place, at(first, row, t), rows * row * t.bytes());
      for (int from = first; from < first + rows; ) {
        int to = run(map, from, first + rows);
        mergeRun(
            plan,
            merge,
            from,
            to,
            row,
            parts((from - first) * row * t.bytes(), (to - from) * row * t.bytes()));
        from = to;
      }
      sums.addWritten(outputs);
      write(place, at(first, row, t));
    }
  }

  /** Rows that follow each other in all three models. */
  private void mergeRun(
      TensorPlan plan, TensorPlan.MergeRows merge, int from, int to, int row, ByteBuffer[] merged) {
    ElementType t = ElementType.valueOf(plan.dtype());
    ElementType b = ElementType.valueOf(merge.base().dtype());
    ElementType f = ElementType.valueOf(merge.fineTuned().dtype());
    RowMap map = merge.rows();
    int n = (to - from) * row;
    boolean appended = map.target()[from] == RowMap.NONE;
    boolean both =
        !appended && map.base()[from] != RowMap.NONE && map.fineTuned()[from] != RowMap.NONE;
    if (!appended) {
      inputs.readThroughCache(
          merge.target(), at(map.target()[from], row, t), n * t.bytes(), target);
    }
    if (both || appended) {
      inputs.readThroughCache(
          merge.fineTuned(), at(map.fineTuned()[from], row, f), n * f.bytes(), fineTuned);
    }
    long position = merge.target().entry().begin() + at(Math.max(0, map.target()[from]), row, t);
    if (both) {
      inputs.readThroughCache(merge.base(), at(map.base()[from], row, b), n * b.bytes(), base);
      run(kernel, plan, input(t, target), input(b, base), input(f, fineTuned), n, merged, position);
    } else if (appended) {
      // Nothing to add to: zero plus the fine-tuned row, which is that row, rounded once.
      zeros(target, n * t.bytes());
      zeros(base, n * t.bytes());
      run(copy, plan, input(t, target), input(t, base), input(f, fineTuned), n, merged, position);
    } else {
      for (ByteBuffer output : merged) {
        output.put(0, target, target.position(), n * t.bytes());
      }
    }
  }

  private static MergeKernel.Input input(ElementType type, ByteBuffer bytes) {
    return new MergeKernel.Input(type, bytes);
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
