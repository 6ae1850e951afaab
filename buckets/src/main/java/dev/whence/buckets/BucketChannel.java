package dev.whence.buckets;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/**
 * An object, read by position: a request for each read of {@value Blocks#BLOCK} bytes or more, and
 * whole blocks, of which a few stay in memory, for smaller ones. Every request names the version
 * that was opened, so an object that is replaced meanwhile is an error and never a mixture.
 */
final class BucketChannel extends FileChannel {
  private final Bucket bucket;
  private final String key;
  private final long size;
  private final String version;
  private long position;

  BucketChannel(Bucket bucket, String key, long size, String version) {
    this.bucket = bucket;
    this.key = key;
    this.size = size;
    this.version = version;
  }

  @Override
  public int read(ByteBuffer target, long from) throws IOException {
    if (from >= size) {
      return target.hasRemaining() ? -1 : 0;
    }
    int wanted = (int) Math.min(target.remaining(), size - from);
    if (wanted >= Blocks.BLOCK) {
      ByteBuffer part = target.slice(target.position(), wanted);
      bucket.read(key, version, from, part);
      target.position(target.position() + wanted);
      return wanted;
    }
    long block = from / Blocks.BLOCK;
    byte[] bytes =
        bucket
            .blocks()
            .of(
                bucket.name() + "/" + key + "#" + version,
                block,
                () -> {
                  long begin = block * Blocks.BLOCK;
                  ByteBuffer whole =
                      ByteBuffer.allocate((int) Math.min(Blocks.BLOCK, size - begin));
                  bucket.read(key, version, begin, whole);
                  return whole.array();
                });
    int at = (int) (from - block * Blocks.BLOCK);
    int n = Math.min(wanted, bytes.length - at);
    target.put(bytes, at, n);
    return n;
  }

  @Override
  public synchronized int read(ByteBuffer target) throws IOException {
    int n = read(target, position);
    position += Math.max(0, n);
    return n;
  }

  @Override
  public synchronized long read(ByteBuffer[] targets, int offset, int length) throws IOException {
    long all = 0;
    for (int i = offset; i < offset + length; i++) {
      int n = read(targets[i]);
      if (n < 0) {
        return all == 0 ? -1 : all;
      }
      all += n;
      if (targets[i].hasRemaining()) {
        return all;
      }
    }
    return all;
  }

  @Override
  public synchronized long position() {
    return position;
  }

  @Override
  public synchronized FileChannel position(long other) {
    position = other;
    return this;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public long transferTo(long from, long count, WritableByteChannel target) throws IOException {
    ByteBuffer piece = ByteBuffer.allocate((int) Math.min(count, Blocks.BLOCK));
    if (read(piece, from) < 0) {
      return 0;
    }
    return target.write(piece.flip());
  }

  @Override
  public int write(ByteBuffer source) {
    throw new NonWritableChannelException();
  }

  @Override
  public long write(ByteBuffer[] sources, int offset, int length) {
    throw new NonWritableChannelException();
  }

  @Override
  public int write(ByteBuffer source, long at) {
    throw new NonWritableChannelException();
  }

  @Override
  public FileChannel truncate(long to) {
    throw new NonWritableChannelException();
  }

  @Override
  public long transferFrom(ReadableByteChannel source, long at, long count) {
    throw new NonWritableChannelException();
  }

  @Override
  public void force(boolean metaData) {}

  @Override
  public MappedByteBuffer map(MapMode mode, long from, long bytes) {
    throw new UnsupportedOperationException("an object can not be mapped into memory");
  }

  @Override
  public FileLock lock(long from, long bytes, boolean shared) {
    throw new UnsupportedOperationException("an object can not be locked");
  }

  @Override
  public FileLock tryLock(long from, long bytes, boolean shared) {
    throw new UnsupportedOperationException("an object can not be locked");
  }

  @Override
  protected void implCloseChannel() {}
}
