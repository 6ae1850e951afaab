package dev.whence.cli;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Expectation;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.Verification;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares a result with its manifest. */
@Command(
    name = "verify",
    description = "Reads a transferred model and compares it with its manifest.",
    mixinStandardHelpOptions = true)
final class TransferVerifyCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private TransferExpectedOptions expected = new TransferExpectedOptions();

  @Option(
      names = "--output",
      converter = Models.PathOrBucket.class,
      required = true,
      paramLabel = "O",
      description = "a transferred model, or what a run with several lambdas made")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferVerifyCommand() {}

  @Override
  public Integer call() {
    Expectation expectation = expected.expectation();
    Map<Path, Manifest> results = Manifest.results(output);
    List<String> problems = new ArrayList<>(expectation.differences(output, results));
    List<Path> places = results.isEmpty() ? List.of(output) : List.copyOf(results.keySet());
    places.forEach(place -> problems.addAll(Verification.of(place)));
    TransferException.refuse(problems);
    PrintWriter out = spec.commandLine().getOut();
    places.forEach(place -> out.println(place + " is what its manifest says"));
    out.flush();
    return Whence.DONE;
  }
}
