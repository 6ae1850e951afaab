package dev.whence.runtime.worker;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Ends the process at once, without shutdown hooks, where nothing else helps. */
@FunctionalInterface
public interface Halt {
  /** Exit status of a process that halted itself. */
  int STATUS = 70;

  /**
   * Ends the process.
   *
   * @param why one sentence
   */
  void halt(String why);

  /** Logs the reason and halts this JVM. */
  static Halt process() {
    Logger log = LoggerFactory.getLogger(Halt.class);
    return why -> {
      try {
        log.error("{}; the process halts", why);
      } finally { // where memory is out, nothing may be left even for a line
        Runtime.getRuntime().halt(STATUS);
      }
    };
  }
}
