package dev.whence.benchmarks;

import com.sun.nio.file.ExtendedOpenOption;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.files.FileTree;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * A merge of synthetic bf16 shards against the floor of the disk: {@code bytes read / read rate +
 * bytes written / write rate}, both rates measured in the same run, past the page cache. The read
 * rate has one thread for each file, at most as many as the merge has workers; the write rate has
 * one thread, while all workers of a merge write. Where the disk takes more from several writers,
 * the floor is too high and the ratio too low: it says how far the merge is from these two loops,
 * not from the disk at its best. The shards are written past the cache, too, so that the merge
 * reads them from the disk; one of less than 1 GiB in all goes through the cache itself.
 */
public final class TransferBench {
  private static final int BLOCK = 4096;
  private static final int PIECE = 4 << 20;
  private static final int POOL = 1 << 22; // elements that the tensors are made of, in turn
  private static final long WIDTH = 2048;
  private static final int WRITE_THREADS = 1; // that writeRate has

  private TransferBench() {}

  /**
   * What to measure.
   *
   * @param directory for the shards; removed in the end
   * @param bytes of the three models together
   * @param shards of each model
   * @param lambdas in one pass
   */
  public record Options(Path directory, long bytes, int shards, List<Double> lambdas) {
    public Options {
      lambdas = List.copyOf(lambdas);
      if (bytes < 3L << 20 || shards < 1 || shards > 1000) {
        throw new IllegalArgumentException(
            bytes + " bytes in " + shards + " shards: at least 3 MiB in 1 to 1000 shards");
      }
      if (Files.exists(directory)) {
        throw new IllegalArgumentException(directory + " exists; it would be removed in the end");
      }
    }
  }

  /** Measures once. */
  public static TransferReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    MergeOptions merging = MergeOptions.defaults();
    try {
      progress.accept("writing the shards");
      Path base = synthesise(options, "base", 1, 0);
      Path fineTuned = synthesise(options, "fine-tuned", 1, 2);
      Path target = synthesise(options, "target", 3, 0);
      List<Path> inputs = new ArrayList<>();
      for (Path model : List.of(base, fineTuned, target)) {
        try (var files = Files.list(model)) {
          files.filter(file -> file.toString().endsWith(".safetensors")).forEach(inputs::add);
        }
      }
      long residentBefore = Machine.peakResidentBytes().orElse(-1);
      TransferRequest request =
          TransferRequest.of(base, fineTuned, target).withLambdas(options.lambdas());
      Path output = options.directory().resolve("merged");
      double processor = Machine.processorSeconds();
      double seconds;
      long read;
      long written;
      try (TransferPlan plan = TransferPlan.of(request)) {
        read = plan.inputBytes();
        written = plan.outputBytes();
        progress.accept("merging");
        long begun = System.nanoTime();
        MergeRun.run(plan, output, merging, MergeProgress.NONE);
        seconds = (System.nanoTime() - begun) * 1e-9;
      }
      processor = Machine.processorSeconds() - processor;
      long resident = Machine.peakResidentBytes().orElse(-1);
      FileTree.delete(output);
      progress.accept("measuring the disk");
      double readRate = readRate(inputs, merging.workers());
      double writeRate = writeRate(options.directory().resolve("scratch"), written);
      return new TransferReport(
          started,
          Machine.here(),
          read,
          written,
          options.lambdas().size(),
          merging.workers(),
          Math.min(merging.workers(), inputs.size()),
          WRITE_THREADS,
          readRate,
          writeRate,
          seconds,
          processor,
          residentBefore,
          resident);
    } finally {
      FileTree.delete(options.directory());
    }
  }

  /** A model whose tensors come from a pool of random numbers, in turn, and a second one added. */
  private static Path synthesise(Options options, String name, long seed, long change)
      throws IOException {
    Path directory = Files.createDirectories(options.directory().resolve(name));
    byte[] pool = pool(seed, change);
    long perShard = options.bytes() / 3 / options.shards();
    long tensorBytes = WIDTH * WIDTH * 2;
    int tensors = (int) Math.max(1, perShard / tensorBytes);
    StringBuilder index = new StringBuilder();
    for (int s = 0; s < options.shards(); s++) {
      String file = String.format("model-%05d-of-%05d.safetensors", s + 1, options.shards());
      List<SafetensorsHeader.Tensor> layout = new ArrayList<>();
      for (int i = 0; i < tensors; i++) {
        String tensor = String.format("model.layers.%03d.%03d.weight", s, i);
        layout.add(
            new SafetensorsHeader.Tensor(tensor, "BF16", List.of(WIDTH, WIDTH), tensorBytes));
        index.append(index.isEmpty() ? "" : ", ").append("\"" + tensor + "\": \"" + file + "\"");
      }
      write(
          directory.resolve(file),
          SafetensorsHeader.of(layout, Map.of()),
          tensors * tensorBytes,
          pool);
    }
    Files.writeString(
        directory.resolve("model.safetensors.index.json"), "{\"weight_map\": {" + index + "}}");
    Files.writeString(directory.resolve("config.json"), "{\"vocab_size\": 1}");
    Files.writeString(
        directory.resolve("tokenizer.json"),
        "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}");
    return directory;
  }

  private static byte[] pool(long seed, long change) {
    ByteBuffer pool = ByteBuffer.allocate(POOL * 2).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(seed);
    Random changes = new Random(change);
    for (int i = 0; i < POOL; i++) {
      float value = (float) (random.nextGaussian() * .02);
      if (change != 0) {
        value += (float) (changes.nextGaussian() * .002);
      }
      pool.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
    }
    return pool.array();
  }

  private static ByteBuffer aligned() {
    return ByteBuffer.allocateDirect(PIECE + BLOCK).alignedSlice(BLOCK);
  }

  private static void write(Path file, ByteBuffer header, long dataBytes, byte[] pool)
      throws IOException {
    ByteBuffer piece = aligned();
    piece.limit(PIECE);
    long left = dataBytes;
    int at = 0;
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE,
            ExtendedOpenOption.DIRECT)) {
      piece.put(header);
      while (left > 0) {
        int n = (int) Math.min(Math.min(piece.remaining(), left), pool.length - at);
        piece.put(pool, at, n);
        at = (at + n) % pool.length;
        left -= n;
        if (!piece.hasRemaining()) {
          channel.write(piece.flip());
          piece.clear().limit(PIECE);
        }
      }
    }
    // The rest is no whole block, which direct writing does not take.
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.APPEND)) {
      channel.write(piece.flip());
      channel.force(true);
    }
  }

  /** Bytes per second of reading all files past the cache, each by one of some threads. */
  private static double readRate(List<Path> files, int threads) throws IOException {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    AtomicLong total = new AtomicLong();
    long begun = System.nanoTime();
    try {
      List<Future<?>> running = new ArrayList<>();
      for (Path file : files) {
        running.add(
            pool.submit(
                () -> {
                  ByteBuffer piece = aligned();
                  try (FileChannel channel =
                      FileChannel.open(file, StandardOpenOption.READ, ExtendedOpenOption.DIRECT)) {
                    long at = 0; // a multiple of the block, but after the last piece
                    for (long size = channel.size(); at < size; ) {
                      int n = channel.read(piece.clear().limit(PIECE), at);
                      at += n;
                      total.addAndGet(n);
                    }
                  }
                  return null;
                }));
      }
      for (Future<?> one : running) {
        one.get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    } catch (ExecutionException e) {
      throw new IOException("the shards can not be read past the cache", e);
    } finally {
      pool.shutdownNow();
    }
    return total.get() / ((System.nanoTime() - begun) * 1e-9);
  }

  /** Bytes per second of writing past the cache with one thread, forced in the end. */
  private static double writeRate(Path file, long bytes) throws IOException {
    ByteBuffer piece = aligned();
    long begun = System.nanoTime();
    long written = 0;
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE,
            ExtendedOpenOption.DIRECT)) {
      while (written < bytes) {
        written += channel.write(piece.clear().limit(PIECE));
      }
      channel.force(true);
    }
    return written / ((System.nanoTime() - begun) * 1e-9);
  }
}
