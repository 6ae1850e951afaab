package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.StoppedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Small shell scripts measure. */
class CommandJudgeTest {
  @TempDir Path directory;

  @Test
  void anExternalJudgePrintsOneNumber() throws IOException {
    Path script = directory.resolve("judge.sh");
    Files.writeString(script, "test -d \"$1\" && cat \"$2\"\n");
    Path set = Files.writeString(directory.resolve("set"), "1.25\n");
    Judge judge = new CommandJudge(List.of("sh", script.toString()), Duration.ofSeconds(20));
    assertThat(judge.loss(directory, set)).isEqualTo(1.25);
    Files.writeString(set, "no number");
    assertThatThrownBy(() -> judge.loss(directory, set))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("did not print one number");
    assertThatThrownBy(() -> judge.loss(directory.resolve("nowhere"), set))
        .hasMessageContaining("ended with status 1");
  }

  /** A judge that starts another process, notes its id, and never ends. */
  private Judge endless(Path note, Duration timeout) throws IOException {
    Path script = directory.resolve("endless.sh");
    Files.writeString(
        script,
        "sleep 600 &\necho $! > " + note + ".new\nmv " + note + ".new " + note + "\nwait\n");
    return new CommandJudge(List.of("sh", script.toString()), timeout);
  }

  private static void isKilled(Path note) throws IOException {
    long id = Long.parseLong(Files.readString(note).strip());
    ProcessHandle.of(id)
        .ifPresent(started -> started.onExit().orTimeout(20, TimeUnit.SECONDS).join());
  }

  @Test
  void aJudgeThatTakesTooLongIsKilledWithAllThatItStarted() throws IOException {
    Path note = directory.resolve("note");
    Judge judge = endless(note, Duration.ofSeconds(2));
    assertThatThrownBy(() -> judge.loss(directory, directory))
        .isInstanceOf(TransferException.class)
        .hasMessage("the judge 'sh' took more than 2 s");
    isKilled(note);
  }

  @Test
  void anInterruptedJudgeIsKilledAndSaysNothingOfTheModel() throws Exception {
    Path note = directory.resolve("note");
    Judge judge = endless(note, Duration.ofMinutes(5));
    CompletableFuture<Throwable> thrown = new CompletableFuture<>();
    Thread measuring =
        new Thread(
            () -> {
              try {
                thrown.complete(new AssertionError(judge.loss(directory, directory)));
              } catch (RuntimeException e) {
                thrown.complete(Thread.currentThread().isInterrupted() ? e : new AssertionError(e));
              }
            });
    measuring.start();
    await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(note));
    measuring.interrupt();
    assertThat(thrown.get(20, TimeUnit.SECONDS)).isInstanceOf(StoppedException.class);
    isKilled(note);
  }

  @Test
  void whatAJudgeLeavesRunningKeepsNobodyWaitingAndIsKilled() throws Exception {
    Path child = directory.resolve("child");
    Path script =
        Files.writeString(
            directory.resolve("leaves.sh"),
            "sleep 600 & echo $! > " + child + "; sleep .3; echo 1.25");
    Judge judge = new CommandJudge(List.of("sh", script.toString()), Duration.ofMinutes(5));
    assertTimeoutPreemptively(
        Duration.ofSeconds(60),
        () -> assertThat(judge.loss(directory, directory.resolve("set"))).isEqualTo(1.25));
    isKilled(child);
  }

  @Test
  void aJudgeThatDoesNotStopTalkingIsNotListenedTo() throws IOException {
    Path script = directory.resolve("babble.sh");
    Files.writeString(script, "yes 1.25\n");
    Judge judge = new CommandJudge(List.of("sh", script.toString()), Duration.ofMinutes(5));
    assertThatThrownBy(() -> judge.loss(directory, directory))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("did not print one number");
  }
}
