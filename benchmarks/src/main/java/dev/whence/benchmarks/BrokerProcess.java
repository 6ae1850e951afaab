package dev.whence.benchmarks;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A broker and a registry in a JVM of their own, so that a measured processor shares neither heap
 * nor collector with them. It serves until its standard input ends, so it does not outlive a parent
 * that was killed.
 */
public final class BrokerProcess implements AutoCloseable {
  private static final long STOP_SECONDS = 20;

  private final Process process;
  private final String bootstrapServers;
  private final String registryUrl;

  private BrokerProcess(Process process, String bootstrapServers, String registryUrl) {
    this.process = process;
    this.bootstrapServers = bootstrapServers;
    this.registryUrl = registryUrl;
  }

  /**
   * Starts a JVM with the class path of this one, and returns when broker and registry serve.
   *
   * @param directory new or empty; holds the broker's data, and its log in {@code broker.log}
   * @throws IOException if it does not come up; the message names the log
   */
  static BrokerProcess start(Path directory) throws IOException {
    Path log = directory.resolve("broker.log");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            BrokerProcess.class.getName(),
            directory.toString()));
    Process process = new ProcessBuilder(command).redirectError(log.toFile()).start();
    BufferedReader out =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    for (String line = out.readLine(); line != null; line = out.readLine()) {
      String[] words = line.split(" ", -1);
      if (words.length == 3 && words[0].equals("serving")) {
        return new BrokerProcess(process, words[1], words[2]);
      }
    }
    throw new IOException("The broker's JVM ended before it served; its log is " + log + ".");
  }

  String bootstrapServers() {
    return bootstrapServers;
  }

  String registryUrl() {
    return registryUrl;
  }

  /** Ends the broker's JVM. */
  @Override
  public void close() throws IOException {
    process.getOutputStream().close();
    try {
      if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }

  /**
   * The child: prints {@code serving <bootstrap> <registry>} and serves until standard input ends.
   *
   * @param arguments the data directory
   */
  @SuppressWarnings("SystemOut") // how it tells its parent
  public static void main(String[] arguments) throws IOException {
    Path directory = Path.of(arguments[0]);
    PrintStream parent = System.out;
    // nobody reads the pipe after the first line: a log that goes there would fill it and block
    System.setOut(System.err);
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory.resolve("kafka"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"))) {
      parent.println("serving " + broker.bootstrapServers() + " " + registry.url());
      parent.flush();
      while (System.in.read() >= 0) {
        // whatever the parent writes is of no interest, only that it lives
      }
    }
  }
}
