package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.WorkerMetrics;
import dev.whence.runtime.kafka.Clients;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a {@link Stage} over a topic, exactly once: for each record, its results, or a dead letter
 * and what the stage says about it, are committed together with the record's offset.
 *
 * <p>Two threads. The poll thread owns the Kafka clients ({@link Session}); the model thread owns
 * the stage. Clients that can not go on are replaced; the stage, and the model it has loaded,
 * stays.
 */
public final class Worker implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Worker.class);
  private static final Duration CLOSE_CLIENT = Duration.ofSeconds(5);

  /** The first model may be the one that is left after others could not be loaded. */
  private static final int FIRST_MODELS = 4;

  private static final Duration ASK_FOR_ENDS = Duration.ofSeconds(10);
  private static final Duration ASK_FOR_LAG = Duration.ofSeconds(5);
  private static final String PART = "worker";

  private final WorkerOptions options;
  private final Stage stage;
  private final Clients clients;
  private final Health health;
  private final WorkerMetrics metrics;
  private final Halt halt;
  private final TransactionHook hook;
  private final ModelThread model;
  private final Watchdog watchdog;
  private final BetweenBatches betweenBatches;
  private final ModelTrouble trouble;
  private final Lifecycle lifecycle;
  private final Backoff backoff;
  private final OwnMarks marks = new OwnMarks();
  private final Map<TopicPartition, StalledPartitions.Rescue> stalledBefore = new HashMap<>();
  private final Thread thread;
  private final ScheduledThreadPoolExecutor timer;
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private volatile Optional<Session> current = Optional.empty();
  private volatile Set<Integer> assignment = Set.of();

  /**
   * A worker that is not started yet.
   *
   * @param options what it reads and writes
   * @param stage what it does; closed with the worker
   * @param clients makes Kafka clients
   * @param health is told whether the worker is ready
   * @param meters for metrics
   * @param halt ends the process when the model hangs
   */
  public Worker(
      WorkerOptions options,
      Stage stage,
      Clients clients,
      Health health,
      MeterRegistry meters,
      Halt halt) {
    this(options, stage, clients, health, meters, halt, TransactionHook.NONE);
  }

  Worker(
      WorkerOptions options,
      Stage stage,
      Clients clients,
      Health health,
      MeterRegistry meters,
      Halt halt,
      TransactionHook hook) {
    this.options = options;
    this.stage = stage;
    this.clients = clients;
    this.health = health;
    this.metrics = new WorkerMetrics(meters, stage.name());
    this.halt = halt;
    this.hook = hook;
    this.model = new ModelThread(stage.name());
    this.watchdog = new Watchdog(health, halt);
    this.betweenBatches = new BetweenBatches(watchdog, options.failures().loadTimeout(), halt);
    this.trouble = new ModelTrouble(options.failures().modelFailures());
    this.lifecycle = new Lifecycle(options.shutdownGrace());
    this.backoff = new Backoff(options.failures().backoffFirst(), options.failures().backoffMost());
    this.thread = new Thread(this::run, stage.name() + "-poll");
    this.timer = timer(stage.name() + "-timer");
    health.notReady(PART, "starting");
  }

  /** Starts the worker and returns at once. */
  public void start() {
    thread.start();
  }

  /**
   * Completes when the worker has ended: normally after {@link #close}, exceptionally with one
   * clear sentence if it gave up.
   */
  public CompletableFuture<Void> ended() {
    return ended.copy();
  }

  /**
   * Runs something on the model thread, between two batches. While it runs, no records are read,
   * but the worker stays a member of its group.
   */
  public void betweenBatches(Runnable task) {
    betweenBatches.add(task);
    current.ifPresent(Session::wake);
  }

  /**
   * The same after a pause, whether records come or not; never, if the worker has ended by then.
   */
  public void betweenBatches(Duration pause, Runnable task) {
    if (pause.isZero()) {
      betweenBatches(task);
      return;
    }
    var unused = timer.schedule(() -> betweenBatches(task), pause.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** Has no thread before something is to be run later. */
  private static ScheduledThreadPoolExecutor timer(String name) {
    ScheduledThreadPoolExecutor timer =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, name);
              thread.setDaemon(true);
              return thread;
            });
    timer.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    // What is asked for while the worker ends is not run any more.
    timer.setRejectedExecutionHandler(new ThreadPoolExecutor.DiscardPolicy());
    return timer;
  }

  private void run() {
    try {
      if (openStage()) {
        sessions();
      }
      closeStage();
      ended.complete(null);
    } catch (RuntimeException | Error e) {
      health.dead("the worker ended: " + e.getMessage());
      closeStage();
      ended.completeExceptionally(e);
    } finally {
      timer.shutdown();
      watchdog.close();
      health.notReady(PART, "stopped");
    }
  }

  /** Returns whether the stage is open; false if the worker is to stop. */
  private boolean openStage() {
    while (!lifecycle.stopping()) {
      CompletableFuture<Void> opened =
          model.submit(
              () -> {
                watchdog.begin(
                    "loading the first model",
                    options.failures().loadTimeout().multipliedBy(FIRST_MODELS));
                try {
                  stage.open();
                } finally {
                  watchdog.end();
                }
                return null;
              });
      try {
        while (true) {
          try {
            opened.get(100, TimeUnit.MILLISECONDS);
            return true;
          } catch (TimeoutException e) {
            if (lifecycle.stopping()) {
              return false;
            }
          }
        }
      } catch (ExecutionException e) {
        if (!(e.getCause() instanceof EnvironmentException)) {
          throw e.getCause() instanceof RuntimeException runtime
              ? runtime
              : new IllegalStateException("the stage could not be opened", e.getCause());
        }
        String why = String.valueOf(e.getCause().getMessage());
        if (((EnvironmentException) e.getCause()).isOfProcess()) {
          halt.halt(why);
          throw new WorkerException(why, e.getCause());
        }
        environmentFailed(why);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }
    return false;
  }

  private void closeStage() {
    var unused =
        model.submit(
            () -> {
              stage.close();
              return true;
            });
    if (!model.close(lifecycle.stopping() ? lifecycle.graceLeft().plusSeconds(1) : CLOSE_CLIENT)) {
      LOG.warn("the model thread is still busy and is left to the end of the process");
    }
  }

  private void sessions() {
    Fences fences = new Fences(options.group(), options.instanceId());
    while (!lifecycle.stopping()) {
      try {
        session();
      } catch (EnvironmentException e) {
        environmentFailed(String.valueOf(e.getMessage()));
      } catch (FatalClientException e) {
        if (e.fenced()) {
          fences.fenced(e);
        }
        metrics.clientsRestarted();
        environmentFailed("the Kafka clients start anew: " + e.getMessage());
      } catch (KafkaException e) {
        metrics.clientsRestarted();
        environmentFailed("Kafka: " + TransactionWriter.describe(e));
      }
    }
  }

  private void environmentFailed(String reason) {
    metrics.environmentFailed();
    health.notReady(PART, reason);
    Duration pause = backoff.begin();
    LOG.warn("{}; trying again in {} ms", reason, pause.toMillis());
    lifecycle.pause(pause);
  }

  private void session() {
    List<String> topics = new ArrayList<>(options.sinkTopics());
    topics.add(options.deadLetterTopic());
    topics.add(options.sourceTopic());
    Admin admin = clients.admin();
    try {
      session(admin, TopicSizes.read(admin, topics));
    } finally {
      admin.close(CLOSE_CLIENT); // without a bound it would wait for brokers that are gone
    }
  }

  private void session(Admin admin, RecordSizes sizes) {
    Finisher finisher = new Finisher(stage, options.deadLetterTopic(), sizes);
    Producer<byte[], byte[]> producer = clients.transactionalProducer(options.transactionalId());
    try {
      // Ends what an earlier process of this name left open.
      producer.initTransactions();
      Consumer<byte[], byte[]> consumer =
          clients.groupConsumer(
              options.group(),
              options.groupProtocol(),
              options.transactionalId(),
              Math.min(options.batch().records(), Clients.RECORDS_OF_ONE_POLL));
      CarefulReading careful =
          new CarefulReading(clients.rawBatches(admin, options.transactionalId() + "-careful"));
      try {
        Session session =
            new Session(
                options,
                consumer,
                producer,
                candidates ->
                    new BatchRun(
                        stage,
                        finisher,
                        trouble,
                        watchdog,
                        halt,
                        options.batch(),
                        options.failures(),
                        candidates),
                model,
                betweenBatches,
                trouble,
                lifecycle,
                health,
                metrics,
                backoff,
                halt,
                careful,
                new BrokerWatch(admin, health),
                new StalledPartitions(
                    consumer, read -> stableEnds(admin, read), ASK_FOR_ENDS, stalledBefore, health),
                new QueueLag(
                    consumer, read -> stableEnds(admin, read), ASK_FOR_LAG, System::nanoTime),
                marks,
                hook,
                this::assigned,
                stage.urgentFirst());
        current = Optional.of(session);
        health.ready(PART);
        session.run();
      } finally {
        current = Optional.empty();
        closeQuietly(consumer);
        careful.close();
      }
    } finally {
      producer.close(CLOSE_CLIENT);
    }
  }

  /** Called inside a poll; the stage hears of it on the model thread, before the next batch. */
  private void assigned(Set<Integer> partitions) {
    assignment = partitions;
    betweenBatches.add(
        () -> {
          if (assignment.equals(partitions)) { // else the last change is told of behind this one
            stage.assigned(partitions);
          }
        });
  }

  private static Map<TopicPartition, KafkaFuture<Long>> stableEnds(
      Admin admin, Set<TopicPartition> partitions) {
    Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
    partitions.forEach(partition -> latest.put(partition, OffsetSpec.latest()));
    ListOffsetsResult answers =
        admin.listOffsets(
            latest,
            new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)
                .timeoutMs((int) BrokerWatch.SILENT.toMillis()));
    Map<TopicPartition, KafkaFuture<Long>> ends = new HashMap<>();
    for (TopicPartition partition : partitions) {
      ends.put(
          partition,
          answers
              .partitionResult(partition)
              .thenApply(ListOffsetsResult.ListOffsetsResultInfo::offset));
    }
    return ends;
  }

  private static void closeQuietly(Consumer<byte[], byte[]> consumer) {
    try {
      Partitions.awake(
          () -> {
            consumer.close(CloseOptions.timeout(CLOSE_CLIENT));
            return true;
          });
    } catch (KafkaException e) {
      LOG.warn("the consumer did not close cleanly: {}", TransactionWriter.describe(e));
    }
  }

  /** Stops: the running record may end within the grace, what is not begun is left to others. */
  @Override
  public void close() {
    lifecycle.stop();
    timer.shutdown();
    current.ifPresent(Session::wake);
    if (!thread.isAlive()) {
      return;
    }
    try {
      thread.join(options.shutdownGrace().plus(CLOSE_CLIENT.multipliedBy(3)).toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
