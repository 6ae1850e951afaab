package dev.whence.cli;

import dev.whence.transfer.diff.DiffExtraction;
import dev.whence.transfer.merge.Role;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Stores a diff vector. */
@Command(name = "extract", description = "Stores F - B by itself.", mixinStandardHelpOptions = true)
final class TransferExtractCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--base", required = true, paramLabel = "B")
  private String base = "";

  @Option(names = "--fine-tuned", required = true, paramLabel = "F")
  private String fineTuned = "";

  @Option(names = "--output", required = true, paramLabel = "D", description = "a directory")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferExtractCommand() {}

  @Override
  public Integer call() {
    TransferModels models =
        new TransferModels().add(Role.BASE, base).add(Role.FINE_TUNED, fineTuned).orRefuse();
    DiffExtraction.Extracted extracted =
        DiffExtraction.extract(models.of(Role.BASE), models.of(Role.FINE_TUNED), output);
    spec.commandLine()
        .getOut()
        .println(
            output
                + ": "
                + extracted.elements()
                + " elements, "
                + extracted.exceptions()
                + " stored as exceptions, "
                + extracted.inexact()
                + " that base + diff does not give back, "
                + extracted.inexactBack()
                + " of the base that fine-tuned - diff does not give back");
    return Whence.DONE;
  }
}
