package dev.whence.cli;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.benchmarks.fidelity.ConfidenceBench;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.samples.BundledModels;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Whether the fast path keeps its word. */
@Command(
    name = "confidence",
    description = {
      "Scores responses with the fast path and with the target, learns the confidence from one"
          + " half of them and tries it on the other: what agreement is kept, and how many are"
          + " escalated."
    },
    mixinStandardHelpOptions = true)
final class BenchConfidenceCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(
      names = "--model",
      defaultValue = BundledModels.CHAT,
      paramLabel = "M",
      description = "the target, which also answers (default: ${DEFAULT-VALUE})")
  private String model = "";

  @Option(
      names = "--proxy",
      paramLabel = "P",
      description = "model of the fast path (default: the target)")
  private Optional<String> proxy = Optional.empty();

  @Option(
      names = "--fast-method",
      description = "of the fast path (default: exact-loo of a proxy, splice of the target)")
  private Optional<String> fastMethod = Optional.empty();

  @Option(
      names = "--heal",
      defaultValue = "0",
      description = "of the fast path, if it splices (default: ${DEFAULT-VALUE})")
  private int heal;

  @Option(
      names = "--input",
      paramLabel = "F.jsonl",
      description =
          "records, or questions of HotpotQA or SQuAD; default: questions about the synthetic"
              + " world, of all kinds")
  private Optional<Path> input = Optional.empty();

  @Option(names = "--paragraphs", defaultValue = "0", description = "most of a question; 0: all")
  private int paragraphs;

  @Option(
      names = "--responses",
      defaultValue = "2000",
      paramLabel = "N",
      description = "half of them are held back (default: ${DEFAULT-VALUE})")
  private int responses;

  @Option(names = "--max-new-tokens", defaultValue = "64")
  private int maxNewTokens;

  @Option(names = "--dtype", defaultValue = "fp32", paramLabel = "auto|bf16|fp32")
  private String dtype = "";

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchConfidenceCommand() {}

  @Override
  public Integer call() throws Exception {
    input.ifPresent(InputFile::check);
    OptionRange.atLeast("--paragraphs", paragraphs, 0);
    OptionRange.atLeast("--max-new-tokens", maxNewTokens, 1);
    String method = fastMethod.orElse(proxy.isPresent() ? "exact-loo" : "splice");
    if (proxy.isEmpty() && method.equals("exact-loo")) {
      throw new UsageException(
          "--fast-method exact-loo is what the target does; name a --proxy or another method");
    }
    output.measure(
        spec,
        () ->
            new ConfidenceBench.Options(
                Models.resolve(model),
                Models.resolve(proxy.orElse(model)),
                MethodOptions.of(method).withHeal(heal),
                MethodOptions.DEFAULT,
                input,
                paragraphs,
                responses,
                maxNewTokens,
                Dtype.of(dtype)),
        ConfidenceBench::run);
    return Whence.DONE;
  }
}
