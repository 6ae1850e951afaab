package dev.whence.cli;

import dev.whence.quickstart.view.DisplayText;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.Candidate;
import dev.whence.transfer.gate.GatesFile;
import dev.whence.transfer.merge.OutputState;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.place.Destination;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The dry run. */
@Command(
    name = "plan",
    description = "Says what would happen to every tensor, and why not if it can not be done.",
    mixinStandardHelpOptions = true)
final class TransferPlanCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TransferRequestOptions request = new TransferRequestOptions();

  @Option(
      names = "--output",
      converter = Models.PathOrBucket.class,
      paramLabel = "O",
      description = {
        "where a run would put the result: says whether it is free, holds an unfinished run,",
        "and has the space; ends with 1 if a run would be refused"
      })
  private Optional<Path> output = Optional.empty();

  @Option(
      names = "--work",
      defaultValue = "whence-data/transfers",
      paramLabel = "D",
      description = "where a result for a bucket would grow (default: ${DEFAULT-VALUE})")
  private Path work;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferPlanCommand() {}

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Optional<Destination> destination = output.map(place -> Destination.of(place, work));
    try (TransferPlan plan = TransferPlan.of(request.request())) {
      for (TransferPlan.Line line : plan.lines()) {
        out.println(
            DisplayText.clean(line.tensor())
                + "  "
                + line.dtype()
                + " "
                + line.shape()
                + "  "
                + line.policy());
      }
      out.println(
          "plan "
              + plan.id()
              + ": reads "
              + plan.inputBytes()
              + " bytes, writes "
              + plan.outputBytes());
      out.flush();
      if (destination.isPresent()) {
        look(out, plan, destination.get());
      }
    }
    return Whence.DONE;
  }

  /** Whether 'resume' would go on with gates. */
  private static boolean isAsked(Path output) {
    try {
      return GatesFile.find(output).isPresent();
    } catch (TransferException e) {
      return false; // damaged
    }
  }

  /** Ends as a run would, but for what only the merge finds out. */
  private static void look(PrintWriter out, TransferPlan plan, Destination to) {
    if (to.there(plan).isPresent()) {
      out.println(to.place() + ": holds this transfer already, a run has nothing to do");
      out.flush();
      return;
    }
    OutputState state = OutputState.of(plan, to.directory());
    boolean gated = Candidate.isLeft(to.directory());
    boolean asked = isAsked(to.directory());
    String cutOff =
        "a run with gates was cut off, the same run"
            + (asked ? " or 'resume'" : "")
            + " goes on with it, a run without gates removes it";
    boolean local = to.place().equals(to.directory());
    out.println(
        to.place()
            + ": "
            + switch (state.found()) {
              case NOTHING -> gated ? cutOff : "free";
              case THIS_TRANSFER ->
                  local
                      ? "holds this transfer already, a run has nothing to do"
                      : "merged in " + to.directory() + ", a run or 'resume' sends it";
              case UNFINISHED ->
                  "an unfinished run of this plan, a run"
                      + (asked ? "" : " or 'resume'")
                      + " goes on with it";
              case UNFINISHED_OTHER ->
                  "an unfinished run of another plan, which a run removes"
                      + (asked ? "" : " and 'resume' goes on with");
              case OCCUPIED -> "occupied";
            });
    if (gated && state.found() != OutputState.Found.NOTHING) {
      out.println(to.place() + ": " + cutOff);
    }
    if (state.found() != OutputState.Found.THIS_TRANSFER) {
      out.println(
          "space: "
              + state.neededBytes()
              + " bytes are needed, the disk has "
              + state.usableBytes());
    }
    out.flush();
    if (!state.problems().isEmpty()) {
      throw new TransferException(state.problems());
    }
  }
}
