package dev.whence.cli;

import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.RequestFile;
import dev.whence.transfer.merge.TransferPlan;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Goes on with a run that was cut off. */
@Command(
    name = "resume",
    description = "Goes on with a run that was cut off; verifies what is there.",
    mixinStandardHelpOptions = true)
final class TransferResumeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--output", required = true, paramLabel = "O", description = "of that run")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferResumeCommand() {}

  @Override
  public Integer call() {
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    try (TransferPlan plan = TransferPlan.of(RequestFile.of(output))) {
      TransferProgress.say(
          spec.commandLine().getOut(),
          MergeRun.run(plan, output, MergeOptions.defaults(), TransferProgress.on(bar)));
    } finally {
      bar.finish();
    }
    return Whence.DONE;
  }
}
