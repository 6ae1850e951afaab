package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.influence.index.RowWidth;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link ScanBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param documents n
 * @param buckets k
 * @param bytes of all signs
 * @param processors that scan and read
 * @param fastest width that an index takes here, found before the scans
 * @param rows by the number of queries and the width
 */
public record ScanReport(
    String started,
    Machine machine,
    int documents,
    int buckets,
    long bytes,
    int processors,
    RowWidth fastest,
    List<Row> rows)
    implements Report {
  public ScanReport {
    rows = List.copyOf(rows);
  }

  /**
   * Some queries at once.
   *
   * @param queries that share a scan
   * @param width in which bits are counted
   * @param held whether signs are in the heap, not in the page cache
   * @param median of scans, seconds
   * @param high 95th percentile of scans, seconds
   * @param reading median of reading the same bytes only, seconds
   */
  public record Row(
      int queries, RowWidth width, boolean held, double median, double high, double reading) {}

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: a scan", command, machine, Instant.parse(started), Map.of(), markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%d documents of %d bits, %.2f GB, %d processors, load average %.1f; an index counts"
                + " %s here.%n%n",
            documents,
            buckets,
            bytes / 1e9,
            processors,
            machine.loadAverage(),
            fastest.name().toLowerCase(Locale.ROOT)));
    out.append(
        "| queries at once | signs in | counted as | scan p50, s | p95, s | a query, s | GB/s | reading alone, GB/s | reading / scan |\n");
    out.append("|---|---|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %d | %s | %s | %.3f | %.3f | %.3f | %.1f | %.1f | %.2f |%n",
              row.queries(),
              row.held() ? "the heap" : "the page cache",
              row.width().name().toLowerCase(Locale.ROOT),
              row.median(),
              row.high(),
              row.median() / row.queries(),
              bytes / row.median() / 1e9,
              bytes / row.reading() / 1e9,
              row.reading() / row.median()));
    }
    if (rows.stream().noneMatch(Row::held)) {
      out.append(
          String.format(
              Locale.ROOT,
              "%nSigns in the heap were not scanned: they may take half of it (-Xmx%dm in"
                  + " WHENCE_JAVA_OPTS would do).%n",
              2 * bytes / (1 << 20) + 64));
    }
    return out.toString();
  }
}
