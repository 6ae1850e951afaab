package dev.whence.benchmarks;

import java.time.Instant;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link TransferBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param readBytes of the three models
 * @param writtenBytes of all results
 * @param lambdas in one pass
 * @param workers threads of the merge
 * @param readThreads threads that measured the read rate, each at a file of its own
 * @param writeThreads threads that measured the write rate
 * @param readRate bytes per second past the cache
 * @param writeRate bytes per second past the cache, forced
 * @param seconds of the merge, publication included
 * @param processorSeconds of all threads
 * @param residentBefore peak of the process before the merge, bytes; negative if unknown
 * @param residentPeak peak of the process after the merge, bytes; negative if unknown
 */
public record TransferReport(
    String started,
    Machine machine,
    long readBytes,
    long writtenBytes,
    int lambdas,
    int workers,
    int readThreads,
    int writeThreads,
    double readRate,
    double writeRate,
    double seconds,
    double processorSeconds,
    long residentBefore,
    long residentPeak)
    implements Report {

  /** Seconds that the disk alone would take at the two rates, one after the other. */
  public double floorSeconds() {
    return readBytes / readRate + writtenBytes / writeRate;
  }

  /** How many times the floor the merge took. */
  public double ratio() {
    return seconds / floorSeconds();
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "A transfer against the floor of the disk",
        command,
        machine,
        Instant.parse(started),
        Map.of("models", "synthetic, bf16"),
        markdown());
  }

  @Override
  public String markdown() {
    return String.format(
        Locale.ROOT,
        """
        | read | written | lambdas | merge | floor | ratio | processor time | resident peak |
        |---|---|---|---|---|---|---|---|
        | %.2f GB at %.2f GB/s (%d threads) | %.2f GB at %.2f GB/s (%d threads) | %d | %.1f s | %.1f s | %.2f | %.1f s | %.0f MB |

        %d workers, load average %.1f on %d cores. The floor is made of the two rates, measured
        with the threads beside them: a disk that takes more at once has a lower one.""",
        readBytes / 1e9,
        readRate / 1e9,
        readThreads,
        writtenBytes / 1e9,
        writeRate / 1e9,
        writeThreads,
        lambdas,
        seconds,
        floorSeconds(),
        ratio(),
        processorSeconds,
        residentPeak / 1e6,
        workers,
        machine.loadAverage(),
        machine.cores());
  }
}
