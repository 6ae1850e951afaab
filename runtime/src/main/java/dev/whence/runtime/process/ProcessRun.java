package dev.whence.runtime.process;

import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The life of a process that is there for one processor. */
public final class ProcessRun {
  private static final Logger LOG = LoggerFactory.getLogger(ProcessRun.class);

  private ProcessRun() {}

  /**
   * Waits until the process is told to end (SIGTERM, Ctrl-C) or the processor gives up.
   *
   * @param name of the processor, for the log
   * @param processor closed in either case
   * @param last done after that where the process was told to end
   * @return exit status: 0 after a normal end, 1 if it gave up; the reason is logged
   */
  public static int untilTheEnd(String name, Processor processor, Runnable last) {
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  processor.close();
                  last.run();
                },
                "shutdown"));
    try {
      processor.ended().join();
      return 0;
    } catch (CompletionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      LOG.error("the {} processor gave up: {}", name, cause.getMessage());
      processor.close();
      return 1;
    }
  }
}
