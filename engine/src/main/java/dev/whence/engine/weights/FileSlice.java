package dev.whence.engine.weights;

import java.io.InputStream;
import java.nio.ByteBuffer;

/** A range of a file as a stream, so that a header is parsed without being held. */
final class FileSlice extends InputStream {
  private final BoundedFile file;
  private final byte[] one = new byte[1];
  private long at;
  private final long end;

  FileSlice(BoundedFile file, long from, long length) {
    this.file = file;
    this.at = from;
    this.end = from + length;
  }

  @Override
  public int read() {
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] target, int offset, int length) {
    if (length == 0) {
      return 0;
    }
    int n = (int) Math.min(length, end - at);
    if (n <= 0) {
      return -1;
    }
    file.read(at, ByteBuffer.wrap(target, offset, n));
    at += n;
    return n;
  }
}
