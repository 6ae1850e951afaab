package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongUnaryOperator;

/**
 * The tensors of a GGUF file under their Hugging Face names and shapes, dequantised piece by piece
 * as they are read, rows in Hugging Face's order.
 *
 * <p>Two architectures store rows in another order than Hugging Face. {@code llama}: within each
 * head of q and k, row 2 i + h of the file is row h * headDim / 2 + i (LlamaModel.permute of
 * convert_hf_to_gguf.py, undone here). {@code gptneox}: the fused query_key_value is stored as all
 * queries, all keys, all values, and Hugging Face interleaves them by head.
 */
final class GgufWeights implements WeightSource {
  private static final int PIECE = 1 << 16;

  /**
   * One tensor.
   *
   * @param columns elements of a row
   * @param rowOf row as handed out to row in the file; only consulted if {@code reordered}
   */
  private record Source(
      TensorInfo info,
      GgufFile.Entry entry,
      long columns,
      boolean reordered,
      LongUnaryOperator rowOf) {}

  private final GgufFile file;
  private final Map<String, Source> sources = new TreeMap<>();
  private final Map<String, TensorInfo> tensors;

  /** Takes over the file. */
  GgufWeights(GgufFile file, String architecture, ModelConfig config) {
    this.file = file;
    Map<String, TensorInfo> infos = new TreeMap<>();
    for (GgufFile.Entry entry : file.entries().values()) {
      if (entry.name().equals("rope_freqs.weight")) {
        continue; // read by GgufConfig: it is part of the rotary frequencies
      }
      String name =
          GgufNames.huggingFace(architecture, entry.name())
              .orElseThrow(
                  () ->
                      file.file()
                          .refuse(
                              entry.position(),
                              "architecture '"
                                  + architecture
                                  + "' has no tensor '"
                                  + SafetensorsFile.printable(entry.name())
                                  + "'"));
      List<Long> shape = new ArrayList<>(entry.shape());
      Collections.reverse(shape);
      TensorInfo info = new TensorInfo(name, entry.type().element(), shape);
      sources.put(name, source(info, entry, architecture, config));
      infos.put(name, info);
    }
    this.tensors = Collections.unmodifiableMap(infos);
  }

  private static Source source(
      TensorInfo info, GgufFile.Entry entry, String architecture, ModelConfig config) {
    // A bias is a column vector here: its rows are its elements.
    boolean vector = info.shape().size() == 1;
    long rows = info.shape().get(0);
    long columns = info.elements() / rows;
    String name = info.name();
    long head = config.headDim();
    if (architecture.equals("llama")
        && (name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj."))
        && rows % head == 0) {
      return new Source(
          info,
          entry,
          columns,
          true,
          row -> {
            long within = row % head;
            long half = head / 2;
            return row - within + 2 * (within % half) + within / half;
          });
    }
    if (architecture.equals("gptneox")
        && name.contains(".attention.query_key_value.")
        && rows == 3L * config.hiddenSize()) {
      return new Source(
          info,
          entry,
          columns,
          true,
          row -> {
            long which = row / head % 3;
            return which * config.hiddenSize() + row / (3 * head) * head + row % head;
          });
    }
    return new Source(info, entry, vector ? rows : columns, false, row -> row);
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return tensors;
  }

  @Override
  public void read(String name, long offset, ByteBuffer target) {
    Source source = sources.get(name);
    if (source == null) {
      throw new IllegalArgumentException("no tensor '" + name + "'");
    }
    int size = source.info().type().bytes();
    if (offset < 0
        || offset % size != 0
        || target.remaining() % size != 0
        || target.remaining() > source.info().byteLength() - offset) {
      throw new IllegalArgumentException(
          "bytes ["
              + offset
              + ", "
              + (offset + target.remaining())
              + ") are not whole elements of "
              + source.info());
    }
    long element = offset / size;
    while (target.hasRemaining()) {
      long left = target.remaining() / size;
      if (source.reordered()) {
        long row = element / source.columns();
        long column = element % source.columns();
        long n = Math.min(left, source.columns() - column);
        elements(source, source.rowOf().applyAsLong(row) * source.columns() + column, n, target);
        element += n;
      } else {
        elements(source, element, left, target);
        element += left;
      }
    }
  }

  /** Copies n elements that lie one after the other in the file. */
  private void elements(Source source, long first, long n, ByteBuffer target) {
    GgufType type = source.entry().type();
    if (!type.isQuantised()) {
      int size = type.blockBytes();
      int limit = target.limit();
      target.limit(target.position() + (int) (n * size));
      file.file().read(source.entry().position() + first * size, target);
      target.limit(limit);
      return;
    }
    ByteOrder order = target.order();
    target.order(ByteOrder.LITTLE_ENDIAN);
    int perBlock = type.blockElements();
    float[] values = new float[perBlock];
    long end = first + n;
    long at = first;
    while (at < end) {
      long block = at / perBlock;
      long blocks = Math.min((end + perBlock - 1) / perBlock - block, PIECE / type.blockBytes());
      ByteBuffer encoded =
          ByteBuffer.allocate((int) blocks * type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
      file.file().read(source.entry().position() + block * type.blockBytes(), encoded);
      for (int b = 0; b < blocks; b++) {
        type.dequantise(encoded, b * type.blockBytes(), values);
        long blockStart = (block + b) * perBlock;
        int from = (int) (Math.max(at, blockStart) - blockStart);
        int to = (int) (Math.min(end, blockStart + perBlock) - blockStart);
        for (int i = from; i < to; i++) {
          target.putFloat(values[i]);
        }
      }
      at = Math.min(end, (block + blocks) * perBlock);
    }
    target.order(order);
  }

  @Override
  public void close() {
    file.close();
  }
}
