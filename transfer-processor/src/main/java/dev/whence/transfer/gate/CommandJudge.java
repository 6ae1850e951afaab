package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A command of the user's: called with the model's directory and the set's file as its last two
 * arguments, it prints one number, the loss in nats per token. Any other output, exit status or
 * number is an error.
 */
public final class CommandJudge implements Judge {
  private static final int LONGEST_ANSWER = 1000;

  private final List<String> command;
  private final Duration timeout;

  /**
   * @param command and its first arguments; no shell interprets them
   * @param timeout of one call, after which it is killed
   */
  public CommandJudge(List<String> command, Duration timeout) {
    if (command.isEmpty()) {
      throw new IllegalArgumentException("no command");
    }
    this.command = List.copyOf(command);
    this.timeout = timeout;
  }

  @Override
  public double loss(Path model, Path set) {
    List<String> call = new ArrayList<>(command);
    call.add(model.toString());
    call.add(set.toString());
    try {
      Path answer = Files.createTempFile("whence-judge", ".out");
      try {
        Process process =
            new ProcessBuilder(call)
                .redirectOutput(answer.toFile())
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        if (!process.waitFor(timeout.toMillis(), TimeUnit.MILLISECONDS)) {
          process.destroyForcibly();
          throw new TransferException(
              "the judge '" + command.get(0) + "' took more than " + timeout.toSeconds() + " s");
        }
        if (process.exitValue() != 0) {
          throw new TransferException(
              "the judge '" + command.get(0) + "' ended with status " + process.exitValue());
        }
        return number(answer);
      } finally {
        Files.deleteIfExists(answer);
      }
    } catch (IOException e) {
      throw new TransferException("the judge '" + command.get(0) + "' can not be run: " + e, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TransferException("the judge was interrupted", e);
    }
  }

  private double number(Path answer) throws IOException {
    if (Files.size(answer) <= LONGEST_ANSWER) {
      try {
        double loss = Double.parseDouble(Files.readString(answer, StandardCharsets.UTF_8).strip());
        if (Double.isFinite(loss) && loss >= 0) {
          return loss;
        }
      } catch (NumberFormatException e) {
        // the refusal below says what was expected
      }
    }
    throw new TransferException(
        "the judge '" + command.get(0) + "' did not print one number, the loss in nats per token");
  }
}
