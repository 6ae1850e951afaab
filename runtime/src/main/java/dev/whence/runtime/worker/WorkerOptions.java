package dev.whence.runtime.worker;

import dev.whence.runtime.config.BatchLimits;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.Start;
import java.time.Duration;
import java.util.Set;

/**
 * What a worker reads and writes, and how.
 *
 * @param sourceTopic to read
 * @param deadLetterTopic for records that are given up
 * @param sinkTopics every topic that the stage writes to
 * @param group consumer group
 * @param groupProtocol of the group
 * @param instanceId stable name of this instance
 * @param start where to begin without a committed offset
 * @param batch limits of a batch
 * @param failures when something is whose fault
 * @param shutdownGrace how long the running record may take to finish at shutdown
 */
public record WorkerOptions(
    String sourceTopic,
    String deadLetterTopic,
    Set<String> sinkTopics,
    String group,
    GroupProtocol groupProtocol,
    String instanceId,
    Start start,
    BatchLimits batch,
    FailurePolicy failures,
    Duration shutdownGrace) {
  public WorkerOptions {
    sinkTopics = Set.copyOf(sinkTopics);
  }

  /** Options out of the configuration. */
  public static WorkerOptions of(
      RuntimeConfig config,
      String instanceId,
      String sourceTopic,
      String deadLetterTopic,
      Set<String> sinkTopics) {
    return new WorkerOptions(
        sourceTopic,
        deadLetterTopic,
        sinkTopics,
        config.group(),
        config.groupProtocol(),
        instanceId,
        config.start(),
        config.batch(),
        config.failures(),
        config.shutdownGrace());
  }

  /** The same for another group: a process may have several workers, each with its own. */
  public WorkerOptions withGroup(String other) {
    return new WorkerOptions(
        sourceTopic,
        deadLetterTopic,
        sinkTopics,
        other,
        groupProtocol,
        instanceId,
        start,
        batch,
        failures,
        shutdownGrace);
  }

  /** The same, beginning elsewhere where nothing is committed. */
  public WorkerOptions withStart(Start other) {
    return new WorkerOptions(
        sourceTopic,
        deadLetterTopic,
        sinkTopics,
        group,
        groupProtocol,
        instanceId,
        other,
        batch,
        failures,
        shutdownGrace);
  }

  /** The same for every process that runs as this instance. */
  public String transactionalId() {
    return group + "-" + instanceId;
  }
}
