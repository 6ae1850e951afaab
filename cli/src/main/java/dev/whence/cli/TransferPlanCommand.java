package dev.whence.cli;

import dev.whence.transfer.merge.TransferPlan;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The dry run. */
@Command(
    name = "plan",
    description = "Says what would happen to every tensor, and why not if it can not be done.",
    mixinStandardHelpOptions = true)
final class TransferPlanCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TransferRequestOptions request = new TransferRequestOptions();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferPlanCommand() {}

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    try (TransferPlan plan = TransferPlan.of(request.request())) {
      for (TransferPlan.Line line : plan.lines()) {
        out.println(
            line.tensor() + "  " + line.dtype() + " " + line.shape() + "  " + line.policy());
      }
      out.println(
          "plan "
              + plan.id()
              + ": reads "
              + plan.inputBytes()
              + " bytes, writes "
              + plan.outputBytes());
      out.flush();
    }
    return Whence.DONE;
  }
}
