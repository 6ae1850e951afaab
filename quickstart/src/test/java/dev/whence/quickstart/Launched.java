package dev.whence.quickstart;

import dev.whence.quickstart.view.Terminal;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** The quickstart in a JVM of its own, for what only a whole process shows. */
final class Launched {
  private Launched() {}

  /** Entry of the other JVM. */
  public static void main(String[] args) {
    QuickstartOptions options =
        new QuickstartOptions(
            Optional.empty(),
            Optional.empty(),
            OptionalInt.empty(),
            Path.of(args[0]),
            true,
            0,
            0,
            "auto",
            "auto");
    System.exit(Quickstart.run(options, Terminal.plain(System.out), System.err));
  }

  static Process topicsOnly(Path dataDir) throws IOException {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx512m",
            "-cp",
            System.getProperty("java.class.path"),
            Launched.class.getName(),
            dataDir.toString());
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }

  /** What follows the beginning of a line of its output. */
  static String awaitLine(Process process, String beginning) throws IOException {
    BufferedReader output = process.inputReader();
    String line = output.readLine();
    while (line != null && !line.startsWith(beginning)) {
      line = output.readLine();
    }
    if (line == null) {
      throw new IOException("the process ended before it wrote '" + beginning + "'");
    }
    return line.substring(beginning.length());
  }
}
