package dev.whence.cli;

import dev.whence.attribution.stage.AttributionProcessor;
import dev.whence.influence.stage.InfluenceProcessor;
import dev.whence.runtime.config.Settings;
import dev.whence.transfer.stage.TransferProcessor;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** One processor, as in deployment. */
@Command(
    name = "serve",
    description = "Runs one processor, as in deployment.",
    mixinStandardHelpOptions = true,
    subcommands = {
      ServeCommand.Attribution.class,
      ServeCommand.Influence.class,
      ServeCommand.Transfer.class,
      ServeCommand.Monitor.class
    })
final class ServeCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  ServeCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "which processor? This version has attribution, influence and transfer");
  }

  /** Where every processor's configuration comes from. */
  static final class ProcessorSettings {
    /** Read by logback.xml. */
    private static final String LOG_LEVEL = "WHENCE_LOG";

    @Option(
        names = "--config",
        paramLabel = "F",
        description = "YAML; the environment (WHENCE_<KEY>) wins over it")
    private Optional<Path> config = Optional.empty();

    @Option(
        names = "--set",
        paramLabel = "KEY=VALUE",
        description = "one key of the configuration; wins over the environment and the file")
    private Map<String, String> flags = Map.of();

    Settings load() {
      // Before anything logs: who runs a server wants to read what it begins with.
      if (System.getenv(LOG_LEVEL) == null && System.getProperty(LOG_LEVEL) == null) {
        System.setProperty(LOG_LEVEL, "INFO");
      }
      return Settings.load(config.orElse(null), System.getenv(), flags);
    }
  }

  /** Context attribution of live responses. */
  @Command(
      name = "attribution",
      description = "Attributes live responses until it is told to end (SIGTERM, Ctrl-C).",
      mixinStandardHelpOptions = true)
  static final class Attribution implements Callable<Integer> {
    @Mixin private ProcessorSettings settings = new ProcessorSettings();

    @Override
    public Integer call() {
      return AttributionProcessor.run(settings.load(), System.getenv(), Models::bundled);
    }
  }

  /** Training documents behind live responses. */
  @Command(
      name = "influence",
      description = {
        "Says which training documents drove live responses.",
        "It does so until it is told to end (SIGTERM, Ctrl-C). Key 'roles': query, shards, merge; a"
            + " process may do several."
      },
      mixinStandardHelpOptions = true)
  static final class Influence implements Callable<Integer> {
    @Mixin private ProcessorSettings settings = new ProcessorSettings();

    @Override
    public Integer call() {
      return InfluenceProcessor.run(settings.load(), System.getenv(), Models::bundled);
    }
  }

  /** Transfers of fine-tuning to new bases. */
  @Command(
      name = "transfer",
      description = "Carries out requested transfers until it is told to end (SIGTERM, Ctrl-C).",
      mixinStandardHelpOptions = true)
  static final class Transfer implements Callable<Integer> {
    @Mixin private ProcessorSettings settings = new ProcessorSettings();

    @Override
    public Integer call() {
      return TransferProcessor.run(settings.load(), System.getenv());
    }
  }

  /** A name that is kept: there is no such processor yet. */
  @Command(
      name = "monitor",
      description = "Not part of this version.",
      hidden = true,
      mixinStandardHelpOptions = true)
  static final class Monitor implements Callable<Integer> {
    @SuppressWarnings("unused") // takes the options that the others have
    @Mixin
    private ProcessorSettings settings = new ProcessorSettings();

    @Override
    public Integer call() {
      throw new UsageException(
          "serve monitor is not part of this version; serve attribution, influence and transfer"
              + " are, and each shows its metrics at /metrics");
    }
  }
}
