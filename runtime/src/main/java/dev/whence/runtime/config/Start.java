package dev.whence.runtime.config;

/** Where a group starts on a partition for which it has committed nothing. */
public enum Start {
  EARLIEST,
  LATEST
}
