package dev.whence.benchmarks;

import dev.whence.attribution.stage.AttributionConfig;
import dev.whence.attribution.stage.AttributionProcessor;
import dev.whence.benchmarks.StreamReport.Quantiles;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.files.FileTree;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ScoringStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What Kafka and our own stage add to the model's time.
 *
 * <pre>
 * this JVM:   producer -> whence.responses -> attribution processor -> whence.attributions
 *                              |                                             |
 *                          probe: readable at t0                  probe: readable at t1
 * own JVM:    broker and registry
 *
 * overhead = (t1 - t0) - model time, both probes being read_committed consumers of this JVM
 * </pre>
 *
 * <p>Batch 1: the next response is sent when the result of the one before could be read, or at a
 * given rate where that is slower. Then a burst is sent at once and its throughput taken. Model
 * time is what the result says that it cost.
 */
public final class StreamBench {
  private static final Duration PATIENCE = Duration.ofMinutes(5);
  private static final long POLL_MILLIS = 50;

  /** What is scored where no input is given: two sources and a question. */
  private static final String SAMPLE =
      "{\"responseId\": \"sample\", \"messages\": [{\"role\": \"user\", \"content\": ["
          + "{\"kind\": \"retrieved\", \"id\": \"doc\", \"text\": \"The bridge was opened in 1932."
          + " It carries eight lanes of road.\"},"
          + "{\"kind\": \"question\", \"text\": \"\\n\\nWhen was the bridge opened?\"}]}],"
          + "\"response\": \"In 1932.\", \"finishReason\": \"stop\"}";

  private final Options options;
  private final Consumer<String> progress;

  private StreamBench(Options options, Consumer<String> progress) {
    this.options = options;
    this.progress = progress;
  }

  /**
   * What to measure.
   *
   * @param model that scores; empty: a tiny one of random weights
   * @param input JSONL records, scored again and again under new ids; empty: a small sample
   * @param warmup responses that do not count
   * @param responses measured one by one
   * @param burst responses sent at once; 0 = none
   * @param perSecond most responses per second in the measurement one by one; 0 = no bound
   * @param groupProtocol of the processor: "consumer" or "classic"
   */
  public record Options(
      Optional<Path> model,
      Optional<Path> input,
      int warmup,
      int responses,
      int burst,
      double perSecond,
      String groupProtocol) {
    public Options {
      if (warmup < 0 || responses < 1 || burst < 0 || !(perSecond >= 0)) {
        throw new IllegalArgumentException(
            "warmup, burst and perSecond may not be negative, responses not below 1");
      }
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if the broker does not start or the input can not be read
   * @throws IllegalStateException if a result does not come
   */
  public static StreamReport run(Options options, Consumer<String> progress)
      throws IOException, InterruptedException {
    Path directory = Files.createTempDirectory("whence-bench-stream");
    try {
      return new StreamBench(options, progress).run(directory);
    } finally {
      FileTree.delete(directory);
    }
  }

  private StreamReport run(Path directory) throws IOException, InterruptedException {
    final String started = Instant.now().toString();
    final Machine machine = Machine.here();
    List<Conversation> conversations = conversations();
    Path model =
        options.model().isPresent()
            ? options.model().get()
            : TinyModel.write(directory.resolve("tiny-model"), 1);
    progress.accept("starting a broker in its own JVM");
    try (BrokerProcess broker = BrokerProcess.start(directory)) {
      Connection connection = Connection.of(broker.bootstrapServers(), broker.registryUrl());
      Topics topics = new Topics(Topics.DEFAULT_PREFIX);
      new TopicAdmin(new Clients(connection), topics.all()).create();
      progress.accept("starting the processor");
      try (AttributionProcessor processor =
              AttributionProcessor.start(config(broker, model, directory), Map.of());
          TopicProbe in = TopicProbe.start(broker.bootstrapServers(), topics.responses().name());
          TopicProbe out =
              TopicProbe.start(broker.bootstrapServers(), topics.attributions().name());
          AvroValues values = new AvroValues(connection);
          Producer<String, byte[]> producer = producer(broker)) {
        awaitReady(processor);
        return measure(
            new Traffic(topics, conversations, values, producer, in, out),
            Path.of(model.toString()),
            started,
            machine);
      }
    }
  }

  private StreamReport measure(Traffic traffic, Path model, String started, Machine machine)
      throws InterruptedException {
    progress.accept("warming up");
    for (int i = 0; i < options.warmup(); i++) {
      traffic.one();
    }
    progress.accept("measuring one by one");
    List<Double> overhead = new ArrayList<>();
    List<Double> modelTime = new ArrayList<>();
    long interval = options.perSecond() > 0 ? (long) (1e9 / options.perSecond()) : 0;
    long due = System.nanoTime();
    for (int i = 0; i < options.responses(); i++) {
      long early = due - System.nanoTime();
      if (early > 0) {
        Thread.sleep(Duration.ofNanos(early).toMillis());
      }
      due = Math.max(due, System.nanoTime()) + interval;
      Passage passage = traffic.one();
      overhead.add(passage.seconds() - passage.modelSeconds());
      modelTime.add(passage.modelSeconds());
    }
    progress.accept("measuring a burst");
    Passage burst = options.burst() == 0 ? new Passage(0, 0) : traffic.many(options.burst());
    return new StreamReport(
        String.valueOf(model.getFileName()),
        started,
        machine,
        Machine.here().loadAverage(),
        options.groupProtocol(),
        options.responses(),
        Quantiles.of(overhead),
        Quantiles.of(modelTime),
        options.burst(),
        options.burst() == 0 ? 0 : options.burst() / burst.seconds(),
        options.burst() == 0 ? 0 : (burst.seconds() - burst.modelSeconds()) / options.burst());
  }

  /**
   * From readable to readable.
   *
   * @param seconds wall time
   * @param modelSeconds of it that the model took
   */
  private record Passage(double seconds, double modelSeconds) {}

  /** Sends responses and awaits their results. */
  private static final class Traffic {
    private final Topics topics;
    private final List<Conversation> conversations;
    private final AvroValues values;
    private final Producer<String, byte[]> producer;
    private final TopicProbe in;
    private final TopicProbe out;
    private int sent;

    Traffic(
        Topics topics,
        List<Conversation> conversations,
        AvroValues values,
        Producer<String, byte[]> producer,
        TopicProbe in,
        TopicProbe out) {
      this.topics = topics;
      this.conversations = conversations;
      this.values = values;
      this.producer = producer;
      this.in = in;
      this.out = out;
    }

    Passage one() throws InterruptedException {
      return many(1);
    }

    /** The first readable response to the last readable result. */
    Passage many(int count) throws InterruptedException {
      List<Future<RecordMetadata>> acknowledgements = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        LlmResponse response =
            LlmResponse.newBuilder(
                    LlmResponses.toAvro(conversations.get(sent % conversations.size())))
                .setResponseId("bench-" + sent)
                .build();
        sent++;
        acknowledgements.add(
            producer.send(
                new ProducerRecord<>(
                    topics.responses().name(),
                    response.getResponseId(),
                    values.write(topics.responses().name(), response))));
      }
      producer.flush();
      for (Future<RecordMetadata> acknowledgement : acknowledgements) {
        try {
          acknowledgement.get();
        } catch (ExecutionException e) {
          throw new IllegalStateException("a response could not be sent", e);
        }
      }
      long first = Long.MAX_VALUE;
      for (int i = 0; i < count; i++) {
        first = Math.min(first, in.next(PATIENCE).nanoTime());
      }
      long last = Long.MIN_VALUE;
      double model = 0;
      for (int i = 0; i < count; i++) {
        TopicProbe.Sighting result = out.next(PATIENCE);
        last = Math.max(last, result.nanoTime());
        model += modelSeconds(result);
      }
      return new Passage((last - first) * 1e-9, model);
    }

    private double modelSeconds(TopicProbe.Sighting result) {
      try {
        Attribution attribution =
            values.read(result.value(), Attribution.class, Attribution.getClassSchema());
        if (attribution.getStatus() != ScoringStatus.SCORED || attribution.getCost() == null) {
          throw new IllegalStateException(
              "a response ended as "
                  + attribution.getStatus()
                  + " "
                  + attribution.getReasonCode()
                  + ": "
                  + attribution.getReason());
        }
        return attribution.getCost().getSeconds();
      } catch (UnreadableException e) {
        throw new IllegalStateException("a result can not be read", e);
      }
    }
  }

  private AttributionConfig config(BrokerProcess broker, Path model, Path directory) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", broker.bootstrapServers());
    settings.put("registry.url", broker.registryUrl());
    settings.put("group.protocol", options.groupProtocol());
    settings.put("instance.id", "bench-0");
    settings.put("data.dir", directory.resolve("processor").toString());
    settings.put("http.port", "-1");
    settings.put("model", model.toString());
    return AttributionConfig.read(Settings.of(settings));
  }

  private static void awaitReady(AttributionProcessor processor) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!processor.health().isReady()) {
      if (processor.ended().isDone() || System.nanoTime() > deadline) {
        throw new IllegalStateException(
            "the processor is not ready: " + processor.health().reasons());
      }
      Thread.sleep(POLL_MILLIS);
    }
  }

  private static Producer<String, byte[]> producer(BrokerProcess broker) {
    return new KafkaProducer<>(
        Map.of("bootstrap.servers", broker.bootstrapServers(), "linger.ms", "0"),
        new StringSerializer(),
        new ByteArraySerializer());
  }

  private List<Conversation> conversations() throws IOException {
    if (options.input().isEmpty()) {
      return List.of(ConversationCodec.read(SAMPLE));
    }
    try (Stream<String> lines = Files.lines(options.input().get())) {
      List<Conversation> read =
          lines.filter(line -> !line.isBlank()).map(ConversationCodec::read).toList();
      if (read.isEmpty()) {
        throw new IllegalArgumentException(options.input().get() + " has no record");
      }
      return read;
    }
  }
}
