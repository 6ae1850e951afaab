package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.IValue;

/** Room for the keys and values of one sequence: two tensors [KV, capacity, D] per layer. */
final class KeyValues implements AutoCloseable {
  private final IValue list;
  private final int capacity;
  private final long bytes;
  private final NativeMemory memory;
  private boolean closed;

  KeyValues(IValue list, int capacity, long bytes, NativeMemory memory) {
    this.list = list;
    this.capacity = capacity;
    this.bytes = bytes;
    this.memory = memory;
    memory.addTrunk(bytes);
  }

  IValue list() {
    if (closed) {
      throw new IllegalStateException("the trunk is closed");
    }
    return list;
  }

  int capacity() {
    return capacity;
  }

  long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      list.close();
      memory.addTrunk(-bytes);
    }
  }
}
