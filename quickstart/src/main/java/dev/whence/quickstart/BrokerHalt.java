package dev.whence.quickstart;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.apache.kafka.common.utils.Exit;

/**
 * Says in a sentence why the process ends where the embedded broker ends it: Kafka halts the JVM on
 * faults that it takes for fatal, above all a disk that is full, and what it logs is for people who
 * know Kafka.
 */
final class BrokerHalt {
  /** With less than this a broker of a few dozen partitions has no room to work. */
  private static final long SCARCE_BYTES = 16L << 20;

  private BrokerHalt() {}

  /**
   * Says it from now on.
   *
   * @param dataDirectory of broker and registry
   * @param before done first, for example to give the terminal back
   * @param errors where the sentence goes
   */
  static void announce(Path dataDirectory, Runnable before, PrintStream errors) {
    Exit.setHaltProcedure(
        (status, message) -> {
          try {
            before.run();
            errors.println(sentence(dataDirectory, free(dataDirectory)));
            errors.flush();
          } finally {
            Runtime.getRuntime().halt(status);
          }
        });
  }

  /**
   * @param freeBytes of the directory's disk, negative where that can not be told
   */
  static String sentence(Path dataDirectory, long freeBytes) {
    String where = "the disk of '" + dataDirectory + "'";
    if (freeBytes >= 0 && freeBytes < SCARCE_BYTES) {
      return String.format(
          Locale.ROOT,
          "The embedded broker ends this process: %s is full (%.1f MB left); free some space there,"
              + " or name another place by --data-dir.",
          where,
          freeBytes / 1e6);
    }
    return "The embedded broker ends this process, since it can not go on: the lines above say why;"
        + " what is most often in the way is "
        + where
        + ", and another place is named by --data-dir.";
  }

  private static long free(Path dataDirectory) {
    try {
      return Files.getFileStore(dataDirectory).getUsableSpace();
    } catch (IOException e) {
      return -1;
    }
  }

  /** Kafka halts as it does by itself again. */
  static void announceNoMore() {
    Exit.resetHaltProcedure();
  }
}
