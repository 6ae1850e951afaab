package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.StoppedException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A command of the user's: called with the model's directory and the set's file as its last two
 * arguments, it prints one number, the loss in nats per token. Any other output, exit status or
 * number is an error. Whoever takes too long, says too much or is interrupted is killed with all
 * that it has started; no more than an answer's length is ever read.
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
      Process process =
          new ProcessBuilder(call).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      try {
        return answer(process);
      } finally {
        kill(process);
      }
    } catch (IOException e) {
      throw new TransferException(named() + "can not be run: " + e, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new StoppedException(); // says nothing of the model: a later run asks again
    }
  }

  private double answer(Process process) throws IOException, InterruptedException {
    long begin = System.nanoTime();
    FutureTask<byte[]> reading =
        new FutureTask<>(() -> process.getInputStream().readNBytes(LONGEST_ANSWER + 1));
    Thread reader = new Thread(reading, "judge");
    reader.setDaemon(true);
    reader.start();
    try {
      byte[] said = reading.get(timeout.toNanos(), TimeUnit.NANOSECONDS);
      if (said.length > LONGEST_ANSWER) {
        throw noNumber();
      }
      long left = timeout.toNanos() - (System.nanoTime() - begin);
      if (!process.waitFor(left, TimeUnit.NANOSECONDS)) {
        throw tookTooLong();
      }
      if (process.exitValue() != 0) {
        throw new TransferException(named() + "ended with status " + process.exitValue());
      }
      return number(new String(said, StandardCharsets.UTF_8));
    } catch (TimeoutException e) {
      throw tookTooLong();
    } catch (ExecutionException e) {
      throw new IOException("its output can not be read", e);
    }
  }

  /** Children first noted: once their parent is dead, they are no longer known as its own. */
  private static void kill(Process process) {
    List<ProcessHandle> started = process.descendants().toList();
    process.destroyForcibly();
    started.forEach(ProcessHandle::destroyForcibly);
  }

  private double number(String said) {
    try {
      double loss = Double.parseDouble(said.strip());
      if (Double.isFinite(loss) && loss >= 0) {
        return loss;
      }
    } catch (NumberFormatException e) {
      // the refusal below says what was expected
    }
    throw noNumber();
  }

  private TransferException noNumber() {
    return new TransferException(named() + "did not print one number, the loss in nats per token");
  }

  private TransferException tookTooLong() {
    return new TransferException(named() + "took more than " + timeout.toSeconds() + " s");
  }

  private String named() {
    return "the judge '" + command.get(0) + "' ";
  }
}
