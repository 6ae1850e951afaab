package dev.whence.ingest;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/** Counts what is read, and ends after so many bytes even if the file has grown. */
final class CountingInput extends FilterInputStream {
  private final long limit;
  private long count;

  CountingInput(InputStream in, long limit) {
    super(in);
    this.limit = limit;
  }

  @Override
  public int read() throws IOException {
    if (count >= limit) {
      return -1;
    }
    int read = super.read();
    if (read >= 0) {
      count++;
    }
    return read;
  }

  @Override
  public int read(byte[] bytes, int offset, int length) throws IOException {
    if (count >= limit) {
      return -1;
    }
    int read = super.read(bytes, offset, (int) Math.min(length, limit - count));
    if (read > 0) {
      count += read;
    }
    return read;
  }

  @Override
  public boolean markSupported() {
    return false;
  }

  long count() {
    return count;
  }
}
