package dev.whence.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Carries fine-tuning to another base: the merge engine and its gates, without Kafka. */
@Command(
    name = "transfer",
    description = "Carries fine-tuning to another base: M = T + lambda (F - B).",
    mixinStandardHelpOptions = true,
    subcommands = {
      TransferPlanCommand.class,
      TransferRunCommand.class,
      TransferResumeCommand.class,
      TransferVerifyCommand.class,
      TransferInspectCommand.class,
      TransferExtractCommand.class,
      TransferApplyCommand.class,
      TransferComposeCommand.class,
      TransferRecycleCommand.class,
      TransferRollbackCommand.class
    })
final class TransferCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "'plan', 'run', 'resume', 'verify', 'inspect', 'extract', 'apply', 'compose', 'recycle'"
            + " or 'rollback' is missing");
  }
}
