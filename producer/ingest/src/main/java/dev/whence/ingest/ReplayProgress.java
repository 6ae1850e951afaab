package dev.whence.ingest;

/**
 * How far a replay is.
 *
 * @param line last line that was read, from 1
 * @param settledLine every line up to this one is acknowledged, blank or bad
 * @param acknowledged responses of this run that Kafka has acknowledged
 * @param badLines lines that were no response or were refused, earlier runs included
 * @param bytesRead of the file, as it lies on disk
 * @param bytesTotal size of the file, as it lies on disk
 */
public record ReplayProgress(
    long line,
    long settledLine,
    long acknowledged,
    long badLines,
    long bytesRead,
    long bytesTotal) {}
