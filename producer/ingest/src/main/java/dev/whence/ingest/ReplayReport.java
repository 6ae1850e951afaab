package dev.whence.ingest;

/**
 * What a replay that reached the end of its file did.
 *
 * @param resumedAfter line after which it began; 0: at the start
 * @param lines lines of the file
 * @param acknowledged responses of this run that Kafka has acknowledged
 * @param badLines lines that were no response or were refused, earlier runs included
 */
public record ReplayReport(long resumedAfter, long lines, long acknowledged, long badLines) {

  /** Whether every line of the file is on the topic. */
  public boolean succeeded() {
    return badLines == 0;
  }
}
