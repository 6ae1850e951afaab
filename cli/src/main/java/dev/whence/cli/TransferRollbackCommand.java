package dev.whence.cli;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.Topics;
import dev.whence.transfer.stage.Rollback;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Takes a published model back. */
@Command(
    name = "rollback",
    description = "Withdraws a model's release: the one before it is live again.",
    mixinStandardHelpOptions = true)
final class TransferRollbackCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ConnectionOptions connection = new ConnectionOptions();

  @Option(names = "--model-id", required = true, paramLabel = "ID", description = "of the release")
  private String modelId = "";

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferRollbackCommand() {}

  @Override
  public Integer call() {
    Connection cluster = connection.connection();
    Topics topics = connection.topics();
    Rollback.Withdrawn withdrawn =
        ConnectionOptions.asking(
            cluster, () -> Rollback.withdraw(new Clients(cluster), topics, modelId));
    spec.commandLine().getOut().println(withdrawn.sentence());
    return Whence.DONE;
  }
}
