package dev.whence.cli;

import dev.whence.quickstart.Quickstart;
import dev.whence.quickstart.QuickstartOptions;
import dev.whence.quickstart.view.Terminal;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Everything in one JVM. */
@Command(
    name = "quickstart",
    description =
        "Broker, schema registry, attribution and sample traffic in one process, with a live view.",
    mixinStandardHelpOptions = true)
final class QuickstartCommand implements Callable<Integer> {
  @Option(
      names = "--model",
      paramLabel = "M",
      description =
          "answers and scores: a Hugging Face directory, a GGUF file, or the name of a bundled model"
              + " or of one in the Hugging Face cache")
  private Optional<String> model = Optional.empty();

  @Option(
      names = "--input",
      paramLabel = "F.jsonl",
      description = "complete records to replay instead of asking the questions that ship with it")
  private Optional<Path> input = Optional.empty();

  @Option(
      names = "--responses",
      paramLabel = "N",
      description = "ends after N final attributions (default: goes on until Ctrl-C)")
  private Optional<Integer> responses = Optional.empty();

  @Option(
      names = "--rate",
      paramLabel = "R",
      description =
          "answers a second at most (default: 1 on a terminal without --responses, else as fast as"
              + " they come)")
  private Optional<Double> rate = Optional.empty();

  @Option(
      names = "--data-dir",
      paramLabel = "D",
      defaultValue = "whence-data",
      description = "where broker and registry keep their data (default: ${DEFAULT-VALUE})")
  private Path dataDir = Path.of("whence-data");

  @Option(names = "--topics-only", description = "broker, registry and topics, no processors")
  private boolean topicsOnly;

  @Option(names = "--bootstrap-port", defaultValue = "0", description = "0: a free one")
  private int bootstrapPort;

  @Option(names = "--registry-port", defaultValue = "0", description = "0: a free one")
  private int registryPort;

  @Option(names = "--dtype", defaultValue = "auto", paramLabel = "auto|bf16|fp32")
  private String dtype = "auto";

  @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
  private String device = "auto";

  @Override
  public Integer call() {
    input.ifPresent(InputFile::check);
    QuickstartOptions options;
    try {
      options =
          new QuickstartOptions(
              model.map(Models::resolve),
              input,
              responses.map(OptionalInt::of).orElseGet(OptionalInt::empty),
              rate.map(OptionalDouble::of).orElseGet(OptionalDouble::empty),
              dataDir,
              topicsOnly,
              bootstrapPort,
              registryPort,
              dtype,
              device);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    return Quickstart.run(options, Terminal.detect(System.out, System.getenv()), System.err);
  }
}
