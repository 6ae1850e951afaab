package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.influence.index.QueryPlanes;
import dev.whence.influence.index.RotatedSketch;
import dev.whence.influence.index.RowWidth;
import dev.whence.influence.index.SignCodes;
import dev.whence.influence.index.SignRows;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * How long an index of n documents is scanned, for one query and for several that share the scan,
 * of signs in the page cache and, where the heap has room, of signs in memory, against reading the
 * same bytes only. Signs and queries are random, which costs what real ones cost. Scan and reading
 * take turns.
 */
public final class ScanBench {
  private static final int ROUNDS = 20;
  private static final List<Integer> QUERIES = List.of(1, 2, 4, 8);
  private static final int READ_BYTES = 1 << 22;
  private static final long MOST_BYTES = 1L << 36;

  private ScanBench() {}

  /**
   * What to measure.
   *
   * @param directory for the file of signs, removed in the end
   * @param documents n
   * @param buckets k, numbers of a sketch
   */
  public record Options(Path directory, int documents, int buckets) {
    public Options {
      if (documents < 1) {
        throw new IllegalArgumentException(documents + " documents are none to scan");
      }
      long bytes = (long) documents * SignCodes.bytes(buckets);
      if (bytes > MOST_BYTES) {
        throw new IllegalArgumentException(
            bytes + " bytes of signs: at most " + MOST_BYTES + " are written for a measurement");
      }
    }
  }

  /** Measures once. */
  public static ScanReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    Files.createDirectories(options.directory());
    Path file = options.directory().resolve("signs");
    Random random = new Random(1);
    RowWidth fastest = RowWidth.fastest();
    try {
      progress.accept("writing signs");
      write(file, options, random);
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
        List<Scanned> widths = new ArrayList<>();
        for (RowWidth width : RowWidth.values()) {
          widths.add(
              new Scanned(
                  width, new SignRows(file, 0, options.documents(), options.buckets(), width)));
        }
        if (Files.size(file) <= Runtime.getRuntime().maxMemory() / 2) {
          progress.accept("holding signs in memory");
          widths.add(
              new Scanned(
                  fastest,
                  new SignRows(file, 0, options.documents(), options.buckets(), fastest)
                      .inMemory()));
        }
        float[] scales = new float[options.documents()];
        Arrays.fill(scales, 1);
        List<LongBuffer> maps = maps(channel);
        List<ScanReport.Row> measured = new ArrayList<>();
        for (int q : QUERIES) {
          progress.accept("queries at once: " + q);
          measured.addAll(measure(widths, scales, queries(q, options.buckets(), random), maps));
        }
        return new ScanReport(
            started,
            Machine.here(),
            options.documents(),
            options.buckets(),
            Files.size(file),
            Runtime.getRuntime().availableProcessors(),
            fastest,
            measured);
      }
    } finally {
      Files.deleteIfExists(file);
    }
  }

  private static void write(Path file, Options options, Random random) throws IOException {
    ByteBuffer row = ByteBuffer.allocate(SignCodes.bytes(options.buckets()));
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      for (int i = 0; i < options.documents(); i++) {
        row.clear();
        while (row.hasRemaining()) {
          row.putLong(random.nextLong());
        }
        row.flip();
        while (row.hasRemaining()) {
          channel.write(row);
        }
      }
    }
  }

  private static List<QueryPlanes> queries(int number, int buckets, Random random) {
    List<QueryPlanes> queries = new ArrayList<>();
    for (int q = 0; q < number; q++) {
      float[] values = new float[buckets];
      for (int i = 0; i < buckets; i++) {
        values[i] = (float) random.nextGaussian();
      }
      queries.add(QueryPlanes.coarse(new RotatedSketch(values)));
    }
    return queries;
  }

  /** The signs, counted in a width. */
  private record Scanned(RowWidth width, SignRows rows) {
    double seconds(float[] scales, List<QueryPlanes> queries) throws IOException {
      long began = System.nanoTime();
      float[][] scores = rows.scan(queries, scales);
      double seconds = (System.nanoTime() - began) / 1e9;
      if (scores.length != queries.size()) {
        throw new IllegalStateException("a scan lost a query");
      }
      return seconds;
    }
  }

  /** Scans in each width, of signs in memory, and reading alone, in turn. */
  private static List<ScanReport.Row> measure(
      List<Scanned> widths, float[] scales, List<QueryPlanes> queries, List<LongBuffer> maps)
      throws IOException {
    double[][] scans = new double[widths.size()][ROUNDS];
    double[] reads = new double[ROUNDS];
    for (Scanned one : widths) {
      one.seconds(scales, queries); // compiled, and in the page cache
    }
    read(maps);
    for (int round = 0; round < ROUNDS; round++) {
      for (int w = 0; w < scans.length; w++) {
        scans[w][round] = widths.get(w).seconds(scales, queries);
      }
      long began = System.nanoTime();
      read(maps);
      reads[round] = (System.nanoTime() - began) / 1e9;
    }
    Arrays.sort(reads);
    List<ScanReport.Row> measured = new ArrayList<>();
    for (int w = 0; w < scans.length; w++) {
      Arrays.sort(scans[w]);
      measured.add(
          new ScanReport.Row(
              queries.size(),
              widths.get(w).width(),
              widths.get(w).rows().areInMemory(),
              scans[w][ROUNDS / 2],
              scans[w][ROUNDS - 2], // the 95th percentile of 20
              reads[ROUNDS / 2]));
    }
    return measured;
  }

  private static List<LongBuffer> maps(FileChannel channel) throws IOException {
    List<LongBuffer> maps = new ArrayList<>();
    for (long at = 0; at < channel.size(); at += READ_BYTES) {
      maps.add(
          channel
              .map(FileChannel.MapMode.READ_ONLY, at, Math.min(READ_BYTES, channel.size() - at))
              .asLongBuffer());
    }
    return maps;
  }

  /** All bytes into the cache next to each processor, by all processors. */
  private static void read(List<LongBuffer> maps) {
    IntStream.range(0, maps.size())
        .parallel()
        .forEach(
            m -> {
              LongBuffer map = maps.get(m);
              long[] piece = new long[1 << 12];
              for (int at = 0; at < map.limit(); at += piece.length) {
                map.get(at, piece, 0, Math.min(piece.length, map.limit() - at));
              }
            });
  }
}
