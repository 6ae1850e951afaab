package dev.whence.transfer.stage;

import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.InstanceName;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.process.ProcessRun;
import dev.whence.runtime.process.ProcessShell;
import dev.whence.runtime.process.Processor;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.AvroLimits;
import dev.whence.schemas.Topics;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The transfer processor: wires configuration to parts. {@code whence serve transfer} calls {@link
 * #run}; the quickstart and tests {@link #start} it in their own process.
 *
 * <pre>
 * whence.transfers (REQUESTED) -> TransferStage -> TransferJob -> GatedTransfer -> merge, gates
 * whence.models (new bases)    -------^     |  STARTED, PROGRESS, GATED, PUBLISHED | REJECTED | FAILED
 *                                           v
 *                        whence.transfers, and whence.models when it is PUBLISHED
 * </pre>
 */
public final class TransferProcessor implements Processor {
  private static final Logger LOG = LoggerFactory.getLogger(TransferProcessor.class);

  private final ProcessShell shell;
  private final TransferStage stage;

  private TransferProcessor(ProcessShell shell, TransferStage stage) {
    this.shell = shell;
    this.stage = stage;
  }

  /**
   * Runs until the process is told to end (SIGTERM, Ctrl-C) or gives up.
   *
   * @return exit status: 0 after a normal end, 1 if it gave up; the reason is logged
   * @throws ConfigException if the configuration is wrong
   */
  public static int run(Settings settings, Map<String, String> environment) {
    AvroLimits.setSystemProperties();
    TransferProcessor processor = start(TransferConfig.read(settings), environment);
    return ProcessRun.untilTheEnd("transfer", processor, TorchRuntime::awaitLastCall);
  }

  /**
   * Starts a processor; it is ready when {@link #health} says so.
   *
   * @throws ConfigException if an address can not be bound
   */
  public static TransferProcessor start(TransferConfig config, Map<String, String> environment) {
    String instance = InstanceName.of(config.runtime(), environment);
    return ProcessShell.start(config.runtime().http(), shell -> start(config, instance, shell));
  }

  private static TransferProcessor start(
      TransferConfig config, String instance, ProcessShell shell) {
    TransferStage stage =
        new TransferStage(
            config,
            new Clients(config.runtime().connection()),
            new Topics(config.runtime().topicPrefix()),
            instance,
            shell.health(),
            shell.meters(),
            Halt.process());
    LOG.info("instance {} of group {}", instance, config.runtime().group());
    stage.start();
    return new TransferProcessor(shell, stage);
  }

  @Override
  public Health health() {
    return shell.health();
  }

  @Override
  public OptionalInt httpPort() {
    return shell.httpPort();
  }

  @Override
  public CompletableFuture<Void> ended() {
    return stage.ended();
  }

  /** A merge that runs is left where it is, and the next start goes on with it. */
  @Override
  public void close() {
    stage.close();
    shell.close();
  }
}
