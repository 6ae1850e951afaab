package dev.whence.cli;

import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.RequestFile;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.place.Destination;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Goes on with a run that was cut off. */
@Command(
    name = "resume",
    description = "Goes on with a run that was cut off; verifies what is there.",
    mixinStandardHelpOptions = true)
final class TransferResumeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private TransferOutputOptions output = new TransferOutputOptions();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferResumeCommand() {}

  @Override
  public Integer call() {
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    Destination destination = output.destination();
    Optional<Published> finished = destination.unpublished();
    if (finished.isPresent()) {
      try {
        TransferProgress.say(
            spec.commandLine().getOut(),
            destination.publish(finished.get(), TransferProgress.on(bar), () -> false));
      } finally {
        bar.finish();
      }
      return Whence.DONE;
    }
    try (TransferPlan plan = TransferPlan.of(RequestFile.of(destination.directory()))) {
      TransferProgress.say(
          spec.commandLine().getOut(), TransferProgress.run(plan, destination, bar));
    }
    return Whence.DONE;
  }
}
