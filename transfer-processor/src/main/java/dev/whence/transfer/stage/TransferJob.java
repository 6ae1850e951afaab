package dev.whence.transfer.stage;

import dev.whence.engine.EngineException;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferGate;
import dev.whence.schemas.avro.TransferLoss;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.schemas.avro.TransferPoint;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.Candidate;
import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.merge.BusyException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.StoppedException;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.place.Destination;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One transfer on a thread of its own: merge, gates, publication, each step told as an event. It
 * never touches a Kafka client; what it has to say goes through its {@link Voice}, which returns
 * when it is committed.
 */
final class TransferJob implements Runnable {
  private static final Logger LOG = LoggerFactory.getLogger(TransferJob.class);
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(2);
  private static final Duration LONGEST_PAUSE = Duration.ofMinutes(5);

  /** With these pauses some 24 minutes. */
  private static final int MOST_TRIES = 12;

  /** Characters of a reason, each of 3 bytes at most: an event must fit into the topic. */
  static final int LONGEST_REASON = 16 << 10;

  private final TransferConfig config;
  private final String instance;
  private final Voice voice;
  private final Halt halt;
  private final boolean resumed;
  private final Reports reports;
  private final AtomicLong lastProgress = new AtomicLong(System.nanoTime());
  private final CountDownLatch stopped = new CountDownLatch(1);
  private volatile TransferEvent state;

  /** Where events go. */
  interface Voice {
    /**
     * Writes an event, and a release with it, in one transaction.
     *
     * @throws StoppedException if this instance may not speak for the transfer any more
     */
    void say(TransferEvent event, Optional<ModelRelease> release);

    /** Tells that there is something new, if that can be done at once. */
    void progress(TransferEvent event);
  }

  /**
   * @param resumed whether another process, or another session, has begun it
   * @param halt ends the process where only another one can go on with the transfer
   */
  TransferJob(
      TransferConfig config,
      String instance,
      TransferEvent started,
      boolean resumed,
      Voice voice,
      Halt halt) {
    this.config = config;
    this.instance = instance;
    this.state = started;
    this.voice = voice;
    this.halt = halt;
    this.resumed = resumed;
    this.reports = new Reports(config.runtime().dataDir().resolve("reports"));
  }

  /** Ends at the next piece; what was merged stays on disk. */
  void stop() {
    stopped.countDown();
  }

  boolean isStopped() {
    return stopped.getCount() == 0;
  }

  @Override
  public void run() {
    try {
      transfer();
    } catch (StoppedException e) {
      LOG.info("transfer {} was stopped", state.getTransferId());
    } catch (TransferException e) {
      failed(String.valueOf(e.getMessage()));
    } catch (Throwable e) { // an Error, too: without a terminal event it would be run for ever
      LOG.error("transfer {} broke", state.getTransferId(), e);
      if (failed("the transfer broke (" + e.getClass().getSimpleName() + "); the log says more")) {
        discard();
      }
    }
  }

  /** Returns whether it could be said, so that nobody else is at work on the transfer. */
  private boolean failed(String why) {
    String reason = cut(why);
    LOG.warn("transfer {} failed: {}", state.getTransferId(), reason);
    try {
      voice.say(next(TransferState.FAILED).setReason(reason).build(), Optional.empty());
      return true;
    } catch (StoppedException e) {
      LOG.info("transfer {} failed after this instance had lost it", state.getTransferId());
      return false;
    }
  }

  private static String cut(String reason) {
    if (reason.length() <= LONGEST_REASON) {
      return reason;
    }
    String cut = "... (cut, of " + reason.length() + " characters)";
    int end = LONGEST_REASON - cut.length();
    return reason.substring(0, Character.isHighSurrogate(reason.charAt(end - 1)) ? end - 1 : end)
        + cut;
  }

  /** Nobody foresaw what happened, so nobody has removed what was made until then. */
  private void discard() {
    try {
      Candidate.discard(output().directory());
    } catch (IOException | BusyException e) {
      LOG.warn("transfer {}: what is left of it stays ({})", state.getTransferId(), e.toString());
    }
  }

  private void transfer() {
    TransferRequest request =
        whenPossible(() -> TransferRequests.read(state, config.runtime().models().roots()));
    Destination output = output();
    MergeOptions options =
        MergeOptions.defaults().withMemoryBytes(config.memoryBytes()).withStop(this::isStopped);
    Gates gates =
        new Gates(
            config.judge(),
            config.gates().withSweep(state.getSweep()),
            options,
            step -> {
              LOG.info("transfer {}: {}", state.getTransferId(), step);
              if (isStopped()) {
                throw new StoppedException();
              }
            });
    GatedTransfer gated = new GatedTransfer(options, progress(), gates);
    GatedTransfer.Outcome outcome =
        whenPossible(() -> gated.measure(request, output, this::measured));
    whenPossible(
        () -> {
          gated.publish(outcome, output);
          return outcome;
        });
    if (outcome.published()) {
      TransferEvent published =
          next(TransferState.PUBLISHED)
              .setLocation(output.place().toString())
              .setPlanId(outcome.manifest().plan())
              .setDigest(outcome.manifest().digest())
              .build();
      voice.say(published, Optional.of(release(published, outcome.manifest())));
    } else {
      voice.say(
          next(TransferState.REJECTED)
              .setReason(
                  cut(
                      state.getGates().stream()
                          .filter(gate -> !gate.getPassed())
                          .map(gate -> gate.getName() + ": " + gate.getDetail())
                          .collect(Collectors.joining("; "))))
              .build(),
          Optional.empty());
    }
  }

  /**
   * Where the model goes. Not only by its modelId: a later transfer may give that another model, of
   * a corrected fine-tuning for one, while the first is still what scorers read.
   */
  private Destination output() {
    Path own = config.outputRoot().resolve(TransferRequests.digits(state.getTransferId()));
    // The last name is what scorers call the model.
    return Destination.of(
        own.resolve(state.getModelId()).toAbsolutePath().normalize(), config.work());
  }

  /**
   * Does something when it can be done. A killed process's lock dies with it, but an instance that
   * lost its partition may still run; and a store that does not answer says nothing of the
   * transfer, which keeps what it has on disk and waits. Memory that does not suffice is waited
   * for, too, but not for ever, since it may never do; a device that is lost to this process ends
   * it, once: it may be the transfer that does that.
   */
  private <T> T whenPossible(Supplier<T> step) {
    Duration pause = FIRST_PAUSE;
    int tries = 0;
    while (true) {
      try {
        return step.get();
      } catch (BusyException e) {
        LOG.info("{}; waiting", e.getMessage());
        await(FIRST_PAUSE);
      } catch (TransferException | EngineException e) {
        if (!TransferException.isOfEnvironment(e)) {
          throw e;
        }
        boolean ofProcess = TransferException.isOfProcess(e);
        if (ofProcess ? resumed : TransferException.isOfEngine(e) && ++tries == MOST_TRIES) {
          throw TransferException.passing(
              e.getMessage() + (ofProcess ? "" : " (tried " + tries + " times)"), e);
        }
        if (ofProcess) {
          halt.halt(
              "transfer " + state.getTransferId() + ": " + cut(String.valueOf(e.getMessage())));
          throw new StoppedException(); // the next process finds it unfinished
        }
        LOG.warn(
            "transfer {} waits {} s: {}", state.getTransferId(), pause.toSeconds(), e.getMessage());
        await(pause);
        Duration twice = pause.multipliedBy(2);
        pause = twice.compareTo(LONGEST_PAUSE) < 0 ? twice : LONGEST_PAUSE;
      }
    }
  }

  private void await(Duration pause) {
    try {
      if (stopped.await(pause.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new StoppedException();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new StoppedException();
    }
  }

  private MergeProgress progress() {
    return (moved, total) -> {
      long now = System.nanoTime();
      long last = lastProgress.get();
      boolean merged = moved == total;
      if (merged
          || (now - last >= config.progressInterval().toNanos()
              && lastProgress.compareAndSet(last, now))) {
        voice.progress(
            next(TransferState.PROGRESS).setBytesMoved(moved).setBytesTotal(total).build());
      }
    };
  }

  private void measured(Manifest manifest, GateReport report) {
    state =
        next(TransferState.GATED)
            .setPlanId(manifest.plan())
            .setDigest(manifest.digest())
            .setGates(
                report.gates().stream()
                    .map(gate -> new TransferGate(gate.name(), gate.passed(), gate.detail()))
                    .toList())
            .setLosses(
                report.losses().stream()
                    .map(loss -> new TransferLoss(loss.model(), loss.task(), loss.general()))
                    .toList())
            .setConnectivity(points(report.connectivity()))
            .setSweepPoints(points(report.sweep()))
            .setBarrierTask(report.barrierTask())
            .setBarrierGeneral(report.barrierGeneral())
            .build();
    voice.say(state, Optional.empty());
    report(manifest, report);
  }

  /** Its numbers are in the event: a page that can not be written does not fail the transfer. */
  private void report(Manifest manifest, GateReport report) {
    try {
      Path page =
          reports.write(
              state.getTransferId(), TransferReport.html(manifest, report, config.gates()));
      LOG.info("transfer {}: its report is {}", state.getTransferId(), page);
    } catch (IOException e) {
      LOG.warn(
          "transfer {}: its report could not be written to {} ({}); its measurements are in the"
              + " event",
          state.getTransferId(),
          reports.of(state.getTransferId()),
          e.toString());
    }
  }

  private static List<TransferPoint> points(List<GateReport.Point> points) {
    return points.stream()
        .map(point -> new TransferPoint(point.at(), point.task(), point.general()))
        .toList();
  }

  private TransferEvent.Builder next(TransferState step) {
    return TransferEvent.newBuilder(state)
        .setState(step)
        .setInstance(instance)
        .setOccurredAt(Instant.now());
  }

  private static ModelRelease release(TransferEvent event, Manifest manifest) {
    return ModelRelease.newBuilder()
        .setModelId(event.getModelId())
        .setRoles(event.getRoles())
        .setKind(ModelKind.TRANSFERRED)
        .setLocation(event.getLocation())
        .setDigest(event.getDigest())
        .setAliases(event.getAliases())
        .setLineage(
            List.of(
                ancestor(event.getFineTuned(), "fine-tuned", manifest),
                ancestor(event.getBase(), "base", manifest),
                ancestor(event.getTarget(), "target", manifest)))
        .setPublishedAt(Instant.now())
        .build();
  }

  private static ModelAncestor ancestor(TransferModel model, String relation, Manifest manifest) {
    Manifest.Ancestor read = manifest.ancestors().get(relation);
    return new ModelAncestor(
        model.getModelId(), read == null ? model.getDigest() : read.digest(), relation);
  }
}
