package dev.whence.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * The front door: {@code whence <command>}. Results go to standard output, everything else to
 * standard error. Exit codes: 0 done, 1 failed (one sentence on standard error), 2 wrong usage.
 */
@Command(
    name = "whence",
    description = "Where did this LLM answer come from?",
    versionProvider = Whence.Version.class,
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      QuickstartCommand.class,
      AttributeCommand.class,
      GenerateCommand.class,
      ReplayCommand.class,
      TopicsCommand.class,
      DlqCommand.class,
      ServeCommand.class,
      TrainCommand.class,
      InfluenceCommand.class,
      CompressCommand.class,
      TransferCommand.class,
      BenchCommand.class,
      AutoComplete.GenerateCompletion.class,
      HelpCommand.class
    })
public final class Whence implements Runnable {
  /** Done. */
  static final int DONE = 0;

  /** Failed: one sentence on standard error says why. */
  static final int FAILED = 1;

  /** Wrong usage. */
  static final int USAGE = 2;

  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  public Whence() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "a command is missing; 'whence --help' lists them");
  }

  public static void main(String[] arguments) {
    System.exit(
        execute(
            new PrintWriter(System.out, true, StandardCharsets.UTF_8),
            new PrintWriter(System.err, true, StandardCharsets.UTF_8),
            arguments));
  }

  /** Runs one command and returns its exit code. */
  static int execute(PrintWriter out, PrintWriter err, String... arguments) {
    // Before any class of the engine can look: nothing calls home.
    System.setProperty("OPT_OUT_TRACKING", "true");
    System.setProperty("ai.djl.offline", "true");
    CommandLine commands =
        new CommandLine(new Whence())
            .setOut(out)
            .setErr(err)
            .setCaseInsensitiveEnumValuesAllowed(true)
            .registerConverter(Path.class, Models::localPath)
            .setParameterExceptionHandler(Whence::wrongUsage)
            .setExecutionExceptionHandler(Whence::failed);
    int exit;
    try {
      exit = commands.execute(arguments);
    } catch (OutOfMemoryError e) {
      err.println("whence: " + Failure.outOfMemory(e, Runtime.getRuntime().maxMemory()));
      return FAILED;
    }
    if (out.checkError() && exit == DONE) {
      err.println("whence: " + Results.LOST);
      return FAILED;
    }
    return exit;
  }

  private static int wrongUsage(ParameterException problem, String[] arguments) {
    CommandLine command = problem.getCommandLine();
    command
        .getErr()
        .println(
            command.getCommandName()
                + ": "
                + Failure.oneLine(Failure.sentence(problem))
                + " ('"
                + command.getCommandSpec().qualifiedName(" ")
                + " --help' shows the usage)");
    return USAGE;
  }

  private static int failed(
      Exception problem, CommandLine command, CommandLine.ParseResult parsed) {
    for (String sentence : Failure.sentences(problem)) {
      command.getErr().println("whence: " + Failure.oneLine(sentence));
    }
    if (System.getenv("WHENCE_STACKTRACE") != null) {
      problem.printStackTrace(command.getErr());
    }
    return problem instanceof UsageException ? USAGE : FAILED;
  }

  /** The version of the jar. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Whence.class.getPackage().getImplementationVersion();
      return new String[] {"whence " + (version == null ? "development" : version)};
    }
  }
}
