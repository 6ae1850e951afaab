package dev.whence.quickstart;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.ScorerDescription;
import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import dev.whence.producer.Whence;
import dev.whence.quickstart.LiveTraffic.OnItsWay;
import dev.whence.quickstart.view.AttributionCard;
import dev.whence.quickstart.view.AttributionView;
import dev.whence.quickstart.view.InfluenceLines;
import dev.whence.quickstart.view.LiveView;
import dev.whence.quickstart.view.Terminal;
import dev.whence.quickstart.view.TransferLines;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.WorkerException;
import dev.whence.samples.BundledModels;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/**
 * Everything in one JVM: broker, registry and topics; a model that answers questions as an
 * application's would; the attribution processors; and what they find, live on the terminal.
 *
 * <pre>
 *   questions -> model answers -> SDK -> whence.responses -> FAST: the proxy
 *                                                             |       | not sure
 *                                                             |  TARGET: the model
 *                                                             |       |
 *                    terminal <- read_committed consumer <- whence.attributions
 * </pre>
 *
 * <p>With the sample models, the next base version comes in the middle: {@link TransferScene}; and
 * an answer from memory is traced to the documents that taught it: {@link InfluenceScene}.
 *
 * <p>The parts are those of a deployment; only broker and registry are embedded. Broker and model
 * start at the same time.
 */
public final class Quickstart {
  private static final int DONE = 0;
  private static final int FAILED = 1;
  private static final int WRONG_USAGE = 2;

  /** Answers a second that somebody can follow. */
  private static final double READABLE = 1;

  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration SDK_GRACE = Duration.ofSeconds(1);

  private final QuickstartOptions options;
  private final Terminal terminal;
  private final PrintStream errors;
  private final LiveView view;
  private final StopSignal stop;
  private final Topics topics = new Topics(Topics.DEFAULT_PREFIX);

  private Quickstart(
      QuickstartOptions options,
      Terminal terminal,
      PrintStream errors,
      LiveView view,
      StopSignal stop) {
    this.options = options;
    this.terminal = terminal;
    this.errors = errors;
    this.view = view;
    this.stop = stop;
  }

  /**
   * Runs until the wanted number of attributions was shown, or until the process is asked to stop.
   *
   * @param terminal where results are shown
   * @param errors where one sentence says what went wrong
   * @return exit code: 0 done, 1 failed, 2 wrong usage
   */
  public static int run(QuickstartOptions options, Terminal terminal, PrintStream errors) {
    EngineOptions engine;
    try {
      engine =
          EngineOptions.defaults()
              .withDtype(EngineOptions.Dtype.of(options.dtype()))
              .withDevice(options.device());
    } catch (IllegalArgumentException e) {
      errors.println("whence: " + e.getMessage());
      return WRONG_USAGE;
    }
    try (StopSignal stop = StopSignal.install();
        LiveView view = new LiveView(terminal, Clock.systemUTC())) {
      BrokerHalt.announce(options.dataDir(), view::close, errors);
      return new Quickstart(options, terminal, errors, view, stop).run(engine);
    } finally {
      BrokerHalt.announceNoMore();
    }
  }

  private int run(EngineOptions engine) {
    try {
      if (options.topicsOnly()) {
        topicsOnly();
      } else {
        everything(engine);
      }
      return DONE;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return FAILED;
    } catch (Exception e) {
      view.close();
      errors.println("whence: " + sentence(e));
      return FAILED;
    }
  }

  /** The message of those exceptions that are written for people; what the others are. */
  private static String sentence(Throwable problem) {
    Throwable cause = problem;
    while ((cause instanceof ExecutionException || cause instanceof CompletionException)
        && cause.getCause() != null) {
      cause = cause.getCause();
    }
    boolean forPeople =
        cause instanceof IOException
            || cause instanceof EngineException
            || cause instanceof EnvironmentException
            || cause instanceof ConfigException
            || cause instanceof WorkerException
            || cause instanceof InfluenceException
            || cause instanceof IllegalArgumentException;
    if (cause instanceof FileSystemException file && file.getReason() == null) {
      return inTheWay(file);
    }
    String message = String.valueOf(cause.getMessage());
    return forPeople ? message : cause.getClass().getSimpleName() + ": " + message;
  }

  /** Such an exception has the path alone as its message. */
  private static String inTheWay(FileSystemException problem) {
    String what;
    if (problem instanceof AccessDeniedException) {
      what = "may not be read or written";
    } else if (problem instanceof FileAlreadyExistsException) {
      what = "is a file where a directory is needed";
    } else {
      what = "can not be used (" + FileProblem.words(problem) + ")";
    }
    return "'" + problem.getFile() + "' " + what + "; another place is named by --data-dir.";
  }

  private void topicsOnly() throws IOException, InterruptedException {
    view.activity("starting broker and registry");
    try (EmbeddedCluster cluster = EmbeddedCluster.open(options, topics)) {
      introduce(cluster.connection(), Optional.empty());
      topics.all().forEach(topic -> view.line("topic            " + topic.name()));
      view.activity("Ctrl-C ends it");
      stop.await();
    }
  }

  private void everything(EngineOptions engine) throws Exception {
    view.activity("starting broker and registry, loading the model");
    // A daemon each: a stop does not wait for a model that is still being read.
    CompletableFuture<SharedModel> loading =
        inBackground("model", () -> SharedModel.open(model(), engine));
    boolean taken = false;
    try (EmbeddedCluster cluster = EmbeddedCluster.open(options, topics)) {
      view.activity("loading the model");
      while (!loading.isDone() && !stop.isAsked()) {
        Thread.sleep(POLL.toMillis());
      }
      if (!stop.isAsked()) {
        taken = true;
        try (SharedModel model = loading.get()) {
          introduce(cluster.connection(), Optional.of(model.description()));
          attribute(cluster.connection(), model);
        }
      }
    } finally {
      if (!taken) {
        var unused = loading.thenAccept(SharedModel::close);
      }
    }
  }

  private Path model() throws IOException {
    return options.model().isPresent()
        ? options.model().get()
        : BundledModels.unpack(BundledModels.CHAT);
  }

  private void attribute(Connection connection, SharedModel model) throws Exception {
    Optional<TransferScene> transfer = transfer(connection);
    List<Scene> scenes = new ArrayList<>();
    transfer.ifPresent(scenes::add);
    if (transfer.isPresent()) {
      scenes.add(influence(connection));
    }
    try {
      for (Scene scene : scenes) {
        scene.prepare();
      }
      attribute(connection, model, transfer.map(TransferScene::released), scenes);
    } finally {
      scenes.forEach(Scene::stop);
      scenes.forEach(Scene::close);
    }
    view.line(view.throughput(", "));
  }

  private void attribute(
      Connection connection, SharedModel model, Optional<Path> released, List<Scene> scenes)
      throws Exception {
    int wanted = options.responses().orElse(Integer.MAX_VALUE);
    try (AttributionFeed feed = new AttributionFeed(connection, topics.attributions());
        Processor processor =
            Processor.start(connection, options.dataDir(), model, proxy(), released);
        Whence sdk =
            Whence.builder()
                .bootstrapServers(connection.bootstrapServers())
                .schemaRegistry(connection.registryUrl())
                .instanceId("quickstart")
                .build();
        Traffic traffic = traffic(model);
        LiveTraffic application = new LiveTraffic(traffic, sdk, view, wanted, pause(), errors)) {
      view.startClock();
      application.start();
      int shown = 0;
      boolean calibrated = false;
      while (shown < wanted && !stop.isAsked()) {
        application.check();
        processor.check();
        for (Scene scene : scenes) {
          scene.check();
        }
        for (Attribution attribution : feed.poll(POLL)) {
          // What an earlier run left behind is attributed too, but its prompts are not at hand.
          Optional<OnItsWay> sent =
              attribution.getPhase() == AttributionPhase.FINAL
                  ? application.arrived(attribution)
                  : Optional.empty();
          if (sent.isPresent()) {
            show(sent.get(), attribution, shown == 0);
            shown++;
            for (Scene scene : scenes) {
              scene.shown(shown, sent.get().conversation(), attribution);
            }
          }
        }
        if (!calibrated && processor.fastPath().isPresent()) {
          calibrated = true;
          view.line(processor.fastPath().get());
          view.line("");
        }
      }
      application.stop();
      sdk.close(SDK_GRACE);
      processor.fastPath().ifPresent(view::line);
      scenes.forEach(Scene::stop);
      scenes.forEach(scene -> scene.cutShort().ifPresent(view::line));
    }
  }

  /** From the beginning of an answer to that of the next, at least. */
  private Duration pause() {
    double rate = READABLE;
    if (options.rate().isPresent()) {
      rate = options.rate().getAsDouble();
    } else if (!terminal.ansi() || options.responses().isPresent()) {
      return Duration.ZERO;
    }
    return Duration.ofNanos(Math.round(1e9 / rate));
  }

  /** The sample model has a base, and that has a next version. */
  private Optional<TransferScene> transfer(Connection connection) {
    return options.model().isPresent() || options.input().isPresent()
        ? Optional.empty()
        : Optional.of(
            new TransferScene(
                connection, topics, options.dataDir(), view, new TransferLines(terminal)));
  }

  /** What the sample model was trained on is known. */
  private InfluenceScene influence(Connection connection) throws IOException {
    return new InfluenceScene(
        connection,
        topics,
        options.dataDir(),
        view,
        new InfluenceLines(terminal),
        InfluenceScene.Stages.bundled());
  }

  /** The sample model has a proxy; whoever brings a model of their own may have none. */
  private Optional<Path> proxy() throws IOException {
    return options.model().isPresent()
        ? Optional.empty()
        : Optional.of(BundledModels.unpack(BundledModels.PROXY));
  }

  private Traffic traffic(SharedModel model) throws IOException {
    if (options.input().isPresent()) {
      return new RecordedResponses(options.input().get(), errors);
    }
    return options.model().isPresent()
        ? new AnsweredQuestions(model, Clock.systemUTC())
        : new WorldTraffic(model, Clock.systemUTC());
  }

  private void show(OnItsWay sent, Attribution attribution, boolean first) {
    view.show(AttributionView.of(sent.conversation(), attribution), sent.sinceAcknowledged());
    if (first) {
      long started = ManagementFactory.getRuntimeMXBean().getStartTime();
      double seconds = (System.currentTimeMillis() - started) / 1000.0;
      view.line(
          String.format(
              Locale.ROOT, "(the first attribution, %.1f s after the JVM started)", seconds));
    }
  }

  private void introduce(Connection connection, Optional<ScorerDescription> model) {
    view.line("Whence quickstart: everything in this JVM, all of it on 127.0.0.1");
    view.line("kafka            " + connection.bootstrapServers());
    view.line("schema registry  " + connection.registryUrl());
    view.line("data             " + options.dataDir().toAbsolutePath().normalize());
    model.ifPresent(
        one ->
            view.line(
                "model            " + one.model() + ", " + one.dtype() + " on " + one.device()));
    if (model.isPresent()) {
      AttributionCard.legend(terminal).forEach(view::line);
    }
    view.line("");
  }

  private interface Opening<T> {
    T open() throws Exception;
  }

  private static <T> CompletableFuture<T> inBackground(String name, Opening<T> opening) {
    CompletableFuture<T> future = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                future.complete(opening.open());
              } catch (Exception | Error e) {
                future.completeExceptionally(e);
              }
            },
            "quickstart-" + name);
    thread.setDaemon(true);
    thread.start();
    return future;
  }
}
