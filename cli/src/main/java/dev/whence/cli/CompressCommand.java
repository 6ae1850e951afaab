package dev.whence.cli;

import dev.whence.engine.weights.ElementType;
import dev.whence.influence.compression.Compression;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code whence compress}. */
@Command(
    name = "compress",
    description = {
      "Makes a model's linear layers products of two thin matrices (generalised Fisher-weighted SVD).",
      "What comes out is a model for 'whence attribute --proxy' and for the FAST role."
    },
    mixinStandardHelpOptions = true)
final class CompressCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--model", required = true, paramLabel = "M")
  private String model;

  @Option(
      names = "--factors",
      converter = Models.PathOrBucket.class,
      required = true,
      paramLabel = "DIR",
      description = "of that model, by 'whence influence factors'")
  private Path factors;

  @Option(names = "--output", required = true, paramLabel = "DIR")
  private Path output;

  @Option(
      names = "--share",
      defaultValue = "0.5",
      paramLabel = "R",
      description = "of each product's elements that stays (${DEFAULT-VALUE})")
  private double share;

  @Option(names = "--rank", paramLabel = "N", description = "of each product, in place of a share")
  private Optional<Integer> rank = Optional.empty();

  @Option(
      names = "--store",
      defaultValue = "F32",
      paramLabel = "F32|BF16|F16",
      description = "element type of the weights on disk (${DEFAULT-VALUE})")
  private ElementType store;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  CompressCommand() {}

  @Override
  public Integer call() throws Exception {
    Compression.Options options =
        InfluenceCommand.usage(() -> new Compression.Options(rank, share, store));
    PrintWriter err = spec.commandLine().getErr();
    List<Compression.Product> products =
        new Compression(Models.resolve(model), factors, options)
            .write(
                output,
                InfluenceCommand.engine("cpu"),
                product ->
                    err.printf(
                        Locale.ROOT,
                        "%s: rank %d, %.2f %% of the weighted size lost%n",
                        String.join(", ", product.layers()),
                        product.rank(),
                        100 * product.error()));
    long before = products.stream().mapToLong(Compression.Product::before).sum();
    long after = products.stream().mapToLong(Compression.Product::after).sum();
    err.printf(
        Locale.ROOT, "%d products: %d elements in place of %d%n", products.size(), after, before);
    spec.commandLine().getOut().println(output);
    spec.commandLine().getOut().flush();
    return Whence.DONE;
  }
}
