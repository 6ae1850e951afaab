package dev.whence.cli;

import dev.whence.benchmarks.StreamBench;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What the stream costs on top of the model. */
@Command(
    name = "stream",
    description = "Latency that the stream adds to the model's time, with a broker of its own.",
    mixinStandardHelpOptions = true)
final class BenchStreamCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(
      names = "--model",
      paramLabel = "M",
      description = "default: a tiny one of random weights, so that the stream is what counts")
  private Optional<String> model = Optional.empty();

  @Option(names = "--input", paramLabel = "F.jsonl")
  private Optional<Path> input = Optional.empty();

  @Option(names = "--warmup", defaultValue = "50")
  private int warmup;

  @Option(names = "--responses", defaultValue = "500", description = "measured one by one")
  private int responses;

  @Option(names = "--burst", defaultValue = "500", description = "sent at once; 0: none")
  private int burst;

  @Option(names = "--rate", defaultValue = "0", description = "most per second; 0: no bound")
  private double rate;

  @Option(names = "--group-protocol", defaultValue = "consumer", paramLabel = "consumer|classic")
  private String groupProtocol;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchStreamCommand() {}

  @Override
  public Integer call() throws Exception {
    input.ifPresent(InputFile::check);
    output.measure(
        spec,
        () ->
            new StreamBench.Options(
                model.map(Models::resolve), input, warmup, responses, burst, rate, groupProtocol),
        StreamBench::run);
    return Whence.DONE;
  }
}
