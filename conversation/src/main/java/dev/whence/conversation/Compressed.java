package dev.whence.conversation;

import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;

/** Files of lines as they lie about: plain, or compressed with gzip. */
public final class Compressed {
  private Compressed() {}

  /**
   * The text of a file, whichever of the two it is; its first bytes tell, not its name.
   *
   * @param raw stays the caller's to close
   */
  public static InputStream opened(InputStream raw) throws IOException {
    BufferedInputStream in = new BufferedInputStream(raw);
    in.mark(2);
    boolean gzip = in.read() == 0x1f && in.read() == 0x8b;
    in.reset();
    return gzip ? new GZIPInputStream(new Waiting(in)) : in;
  }

  /**
   * Java's reader takes a file of several members to be at its end where nothing is available yet,
   * as in a pipe whose writer pauses between two of them: here what is available is waited for.
   */
  private static final class Waiting extends FilterInputStream {
    Waiting(BufferedInputStream in) {
      super(in);
    }

    @Override
    public int available() throws IOException {
      in.mark(1);
      if (in.read() < 0) {
        return 0;
      }
      in.reset();
      return Math.max(1, in.available());
    }
  }
}
