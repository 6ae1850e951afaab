package dev.whence.buckets;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The blocks of all objects that were read last, {@value #MOST} of them: what is read in small
 * pieces in some order (headers, rows, small tensors) is fetched once.
 */
final class Blocks {
  static final int BLOCK = 1 << 20;
  private static final int MOST = 32;

  /** By object, version and number. */
  private final Map<String, byte[]> latest =
      new LinkedHashMap<>(MOST, .75f, /* accessOrder= */ true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, byte[]> eldest) {
          return size() > MOST;
        }
      };

  /** Fetches a block. */
  interface Fetch {
    byte[] bytes() throws IOException;
  }

  /** A block that is there, or fetched now; two threads may fetch the same one. */
  byte[] of(String version, long block, Fetch fetch) throws IOException {
    String name = version + "#" + block;
    synchronized (latest) {
      byte[] known = latest.get(name);
      if (known != null) {
        return known;
      }
    }
    byte[] fetched = fetch.bytes();
    synchronized (latest) {
      latest.put(name, fetched);
    }
    return fetched;
  }
}
