package dev.whence.cli;

import java.io.IOException;
import java.io.PrintWriter;

/** Standard output: a {@link PrintWriter} swallows what goes wrong with it until it is asked. */
final class Results {
  static final String LOST =
      "standard output can not be written (it is closed, or its disk is full): results are missing";

  private Results() {}

  /**
   * Passes on what was printed so far, before more is computed for a reader that is not there.
   *
   * @throws IOException if it was not taken
   */
  static void passOn(PrintWriter out) throws IOException {
    if (out.checkError()) {
      throw new IOException(LOST);
    }
  }
}
