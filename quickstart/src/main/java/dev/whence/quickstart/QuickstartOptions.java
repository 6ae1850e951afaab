package dev.whence.quickstart;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * What is asked of the quickstart.
 *
 * @param model a Hugging Face directory or a GGUF file that answers and scores; needed unless only
 *     topics are wanted
 * @param input complete records as JSON Lines, replayed instead of asking the questions that ship
 *     with the quickstart
 * @param responses ends after so many final attributions; empty: goes on until it is stopped
 * @param rate answers a second at most; empty: as many as can be read on a terminal, as fast as
 *     possible where there is none or where the responses are counted
 * @param dataDir where broker and registry keep their data over restarts
 * @param topicsOnly broker, registry and topics, and nothing that reads or writes them
 * @param bootstrapPort of the broker, 0 for a free one
 * @param registryPort of the registry, 0 for a free one
 * @param dtype "auto", "bf16" or "fp32"
 * @param device "auto", "cpu" or "cuda:N"
 */
public record QuickstartOptions(
    Optional<Path> model,
    Optional<Path> input,
    OptionalInt responses,
    OptionalDouble rate,
    Path dataDir,
    boolean topicsOnly,
    int bootstrapPort,
    int registryPort,
    String dtype,
    String device) {

  private static final double LEAST_A_SECOND = 0.001;
  private static final double MOST_A_SECOND = 1000;

  public QuickstartOptions {
    if (responses.isPresent() && responses.getAsInt() < 1) {
      throw new IllegalArgumentException(
          "the number of responses is " + responses.getAsInt() + "; it must be 1 or more");
    }
    if (rate.isPresent()
        && !(rate.getAsDouble() >= LEAST_A_SECOND && rate.getAsDouble() <= MOST_A_SECOND)) {
      throw new IllegalArgumentException(
          "the rate is " + rate.getAsDouble() + " a second; it must lie in [0.001, 1000]");
    }
    if (topicsOnly && (responses.isPresent() || input.isPresent() || rate.isPresent())) {
      throw new IllegalArgumentException(
          "topics only means that nothing answers or attributes until Ctrl-C: responses, input and"
              + " rate are for the whole quickstart");
    }
    checkPort("bootstrap", bootstrapPort);
    checkPort("registry", registryPort);
  }

  private static void checkPort(String name, int port) {
    if (port < 0 || port > 65_535) {
      throw new IllegalArgumentException(
          "the " + name + " port is " + port + "; it must lie in [0, 65535], 0 for a free one");
    }
  }
}
