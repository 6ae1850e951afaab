package dev.whence.quickstart;

import dev.whence.quickstart.view.Terminal;
import dev.whence.samples.BundledModels;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/** The quickstart in a JVM of its own, for what only a whole process shows. */
final class Launched {
  private Launched() {}

  /** Entry of the other JVM: data directory, whether only topics are wanted. */
  public static void main(String[] args) {
    QuickstartOptions options =
        new QuickstartOptions(
            Optional.empty(),
            Optional.empty(),
            OptionalInt.empty(),
            OptionalDouble.empty(),
            Path.of(args[0]),
            Boolean.parseBoolean(args[1]),
            0,
            0,
            "fp32",
            "cpu");
    System.exit(Quickstart.run(options, Terminal.plain(System.out), System.err));
  }

  static Process topicsOnly(Path dataDir) throws IOException {
    return launch(List.of(), dataDir, true, Redirect.INHERIT);
  }

  /**
   * @param errors where its standard error goes
   */
  static Process topicsOnly(Path dataDir, Path errors) throws IOException {
    return launch(List.of(), dataDir, true, Redirect.to(errors.toFile()));
  }

  /**
   * Everything, without flags.
   *
   * @param models where the bundled models are unpacked
   */
  static Process everything(Path dataDir, Path models) throws IOException {
    return launch(
        List.of("-D" + BundledModels.DIRECTORY_PROPERTY + "=" + models),
        dataDir,
        false,
        Redirect.INHERIT);
  }

  private static Process launch(
      List<String> properties, Path dataDir, boolean topicsOnly, Redirect errors)
      throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
    // Collector and compiler of a quickstart as the launcher starts it.
    command.addAll(List.of("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    command.addAll(properties);
    command.addAll(
        List.of(
            "-cp",
            System.getProperty("java.class.path"),
            Launched.class.getName(),
            dataDir.toString(),
            Boolean.toString(topicsOnly)));
    return new ProcessBuilder(command).redirectError(errors).start();
  }

  /** All lines of its output up to one in which an expression is found, that one included. */
  static List<String> linesUntil(BufferedReader output, String text) throws IOException {
    Pattern pattern = Pattern.compile(text);
    List<String> lines = new ArrayList<>();
    while (lines.isEmpty() || !pattern.matcher(lines.get(lines.size() - 1)).find()) {
      String line = output.readLine();
      if (line == null) {
        throw new IOException(
            "the process ended before it wrote '"
                + text
                + "', but after "
                + String.join("\n", lines));
      }
      lines.add(line);
    }
    return lines;
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
