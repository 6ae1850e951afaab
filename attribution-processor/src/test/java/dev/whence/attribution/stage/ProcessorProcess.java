package dev.whence.attribution.stage;

import dev.whence.runtime.config.Settings;
import dev.whence.runtime.worker.Halt;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;

/** A processor in a JVM of its own, so that it can be killed. */
final class ProcessorProcess {
  /** A file; as long as it exists, the model does not come to an end. */
  static final String HOLD = "test.hold";

  /** So many tokens of a response make the model hang. */
  static final String HANG_AT = "test.hang-at";

  private ProcessorProcess() {}

  /** Starts a process; its log goes to a file. */
  static Process start(Path directory, String name, Map<String, String> settings)
      throws IOException {
    Properties properties = new Properties();
    properties.putAll(settings);
    Path file = directory.resolve(name + ".properties");
    try (var out = Files.newOutputStream(file)) {
      properties.store(out, null);
    }
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    command.addAll(List.of("-Dai.djl.offline=true", "-DOPT_OUT_TRACKING=true"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(ProcessorProcess.class.getName(), file.toString()));
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.resolve(name + ".log").toFile()))
        .start();
  }

  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    try (var in = Files.newInputStream(Path.of(args[0]))) {
      properties.load(in);
    }
    Map<String, String> settings = new java.util.HashMap<>();
    properties.stringPropertyNames().forEach(n -> settings.put(n, properties.getProperty(n)));
    String hold = settings.remove(HOLD);
    String hangAt = settings.remove(HANG_AT);
    if (hold == null && hangAt == null) {
      System.exit(
          AttributionProcessor.run(Settings.of(settings), Map.of(), name -> Optional.empty()));
    }
    AttributionConfig config = AttributionConfig.read(Settings.of(settings));
    ModelLoader real = ModelLoader.local(config.engine());
    AttributionProcessor processor =
        AttributionProcessor.start(
            config,
            Map.of(),
            hold == null
                ? HangingScorer.loader(real, Integer.parseInt(hangAt))
                : HeldScorer.loader(real, Path.of(hold)),
            Halt.process());
    Runtime.getRuntime().addShutdownHook(new Thread(processor::close));
    processor.ended().join();
  }
}
