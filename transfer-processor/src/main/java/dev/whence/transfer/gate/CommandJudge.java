package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.StoppedException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * A command of the user's: called with the model's directory (an {@code s3://} address if it lies
 * in a bucket) and the set's file as its last two arguments, it prints one number, the loss in nats
 * per token. Any other output, exit status or number is an error. It is killed with all that it has
 * started when it takes too long, says too much, is interrupted or this process ends, and what it
 * leaves running when it has answered; no more than an answer's length is ever kept.
 */
public final class CommandJudge implements Judge {
  private static final int LONGEST_ANSWER = 1000;
  private static final Duration LOOK = Duration.ofMillis(50);
  private static final Duration LAST_WORDS = Duration.ofSeconds(1);
  private static final Set<Started> RUNNING = ConcurrentHashMap.newKeySet();

  static {
    // A process that ends takes its judges with it.
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> RUNNING.forEach(Started::kill), "judges"));
  }

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
      Started started = new Started(process);
      RUNNING.add(started);
      try {
        return answer(process, started);
      } finally {
        started.kill();
        RUNNING.remove(started);
      }
    } catch (IOException e) {
      throw TransferException.passing(named() + "can not be run: " + e, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new StoppedException(); // says nothing of the model: a later run asks again
    }
  }

  /** A call and what it has started, which is not known any more once the call has ended. */
  private static final class Started {
    private final Process process;
    private final Set<ProcessHandle> children = ConcurrentHashMap.newKeySet();

    Started(Process process) {
      this.process = process;
    }

    void look() {
      process.descendants().forEach(children::add);
    }

    void kill() {
      look();
      process.destroyForcibly();
      children.forEach(ProcessHandle::destroyForcibly);
    }
  }

  private double answer(Process process, Started started) throws IOException, InterruptedException {
    long end = System.nanoTime() + timeout.toNanos();
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    Thread reader = new Thread(() -> read(process, said), "judge");
    reader.setDaemon(true);
    reader.start();
    while (!process.waitFor(LOOK.toMillis(), TimeUnit.MILLISECONDS)) {
      started.look();
      if (said.size() > LONGEST_ANSWER) {
        throw noNumber();
      }
      if (System.nanoTime() - end > 0) {
        throw TransferException.passing(
            named() + "took more than " + timeout.toSeconds() + " s", /* cause= */ null);
      }
    }
    // What it has left running may hold its output open for ever; what it said itself is there.
    reader.join(LAST_WORDS.toMillis());
    if (said.size() > LONGEST_ANSWER) {
      throw noNumber(); // and not that it ended because nobody listened any more
    }
    if (process.exitValue() != 0) {
      throw TransferException.passing(
          named() + "ended with status " + process.exitValue(), /* cause= */ null);
    }
    return number(said.toString(StandardCharsets.UTF_8));
  }

  /** Until the end, or there is more than an answer. */
  private static void read(Process process, ByteArrayOutputStream said) {
    byte[] buffer = new byte[LONGEST_ANSWER];
    try (InputStream in = process.getInputStream()) {
      for (int n = in.read(buffer); n >= 0 && said.size() <= LONGEST_ANSWER; n = in.read(buffer)) {
        said.write(buffer, 0, n);
      }
    } catch (IOException e) {
      // It was killed; how it ended says so.
    }
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

  private String named() {
    return "the judge '" + command.get(0) + "' ";
  }
}
