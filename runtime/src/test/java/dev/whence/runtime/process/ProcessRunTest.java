package dev.whence.runtime.process;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.health.Health;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/**
 * A process that is there for one processor; in JVMs of its own, for its hooks run at their end.
 */
class ProcessRunTest {
  /** Says what happens to it. */
  private static final class Told implements Processor {
    private final CompletableFuture<Void> ended;

    Told(CompletableFuture<Void> ended) {
      this.ended = ended;
    }

    @Override
    public Health health() {
      return new Health();
    }

    @Override
    public OptionalInt httpPort() {
      return OptionalInt.empty();
    }

    @Override
    public CompletableFuture<Void> ended() {
      System.out.print("running;"); // whoever waits for the end has its hook by now
      System.out.flush();
      return ended;
    }

    @Override
    public void close() {
      System.out.print("closed;");
      System.out.flush();
      ended.complete(null);
    }
  }

  /**
   * Runs a processor that gives up at once, that ends at once, or that goes on until it is told.
   */
  static final class Main {
    public static void main(String[] args) {
      CompletableFuture<Void> ended = new CompletableFuture<>();
      switch (args[0]) {
        case "gives-up" -> ended.completeExceptionally(new IllegalStateException("no brokers"));
        case "ends" -> ended.complete(null);
        default -> {}
      }
      System.exit(
          ProcessRun.untilTheEnd(
              "told",
              new Told(ended),
              () -> {
                System.out.print("last;");
                System.out.flush();
              }));
    }
  }

  private static Process start(String how) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(ProcessHandle.current().info().command().orElseThrow());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(Main.class.getName(), how));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static String rest(Process process) throws Exception {
    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  @Test
  void whatGivesUpIsClosedAndTheStatusSaysSo() throws Exception {
    Process process = start("gives-up");
    assertThat(rest(process)).contains("no brokers").contains("closed;");
    assertThat(process.waitFor()).isEqualTo(1);
  }

  @Test
  void anEndIsNoFailure() throws Exception {
    Process process = start("ends");
    assertThat(rest(process)).contains("closed;last;");
    assertThat(process.waitFor()).isZero();
  }

  @Test
  void whoeverIsToldToEndClosesFirst() throws Exception {
    Process process = start("goes-on");
    StringBuilder said = new StringBuilder(); // the JVM may say something of its options before
    while (said.indexOf("running;") < 0) {
      int next = process.getInputStream().read();
      assertThat(next).as("after %s", said).isNotNegative();
      said.append((char) next);
    }
    process.toHandle().destroy(); // that of Process closes what is read here
    assertThat(rest(process)).contains("closed;last;");
  }
}
