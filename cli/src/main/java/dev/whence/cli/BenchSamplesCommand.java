package dev.whence.cli;

import dev.whence.benchmarks.SamplesBench;
import dev.whence.samples.BundledModels;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What the sample models can do. */
@Command(
    name = "samples",
    description =
        "What a sample model can do, and how well attribution finds what is true of its answers.",
    mixinStandardHelpOptions = true)
final class BenchSamplesCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(
      names = "--model",
      defaultValue = BundledModels.CHAT,
      paramLabel = "M",
      description = "that answers (default: ${DEFAULT-VALUE})")
  private String model = "";

  @Option(
      names = "--proxy",
      paramLabel = "P",
      description = "whose attributions are compared with the model's")
  private Optional<String> proxy = Optional.empty();

  @Option(
      names = "--base",
      paramLabel = "B",
      description = "what the model was fine-tuned from; it is asked what it remembers")
  private Optional<String> base = Optional.empty();

  @Option(
      names = "--questions",
      defaultValue = "200",
      paramLabel = "N",
      description = "of each set (default: ${DEFAULT-VALUE})")
  private int questions;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchSamplesCommand() {}

  @Override
  public Integer call() throws Exception {
    output.measure(
        spec,
        () ->
            new SamplesBench.Options(
                Models.resolve(model),
                proxy.map(Models::resolve),
                base.map(Models::resolve),
                questions),
        SamplesBench::run);
    return Whence.DONE;
  }
}
