package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.stage.InfluenceConfig;
import dev.whence.influence.stage.InfluenceProcessor;
import dev.whence.influence.stage.InfluenceRequests;
import dev.whence.quickstart.view.InfluenceLines;
import dev.whence.quickstart.view.LiveView;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.Kind;
import dev.whence.samples.QuestionLines;
import dev.whence.samples.StatedFact;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;

/**
 * Which training documents taught the model what it answers from memory: the first answer that is
 * right though nothing in its context says so is asked about on {@code whence.influence.requests},
 * and what the influence processor finds is shown, with what is true of each document beside it.
 *
 * <p>Factors and index are computed on a thread of its own, by one core, while traffic goes on;
 * they stay in the data directory, so the next start has them.
 */
final class InfluenceScene extends BackgroundScene {
  private static final Duration POLL = Duration.ofMillis(200);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  /**
   * The two stages of a line.
   *
   * @param base recipe of the first
   * @param baseModel where its model lies
   * @param chat recipe of the second, whose model answers
   * @param chatModel where its model lies
   * @param every so manyth step of each training counts for the factors
   */
  record Stages(Recipe base, Path baseModel, Recipe chat, Path chatModel, int every) {
    private static final int FEW_STEPS = 200;

    /** Of the models that answer in the quickstart. */
    static Stages bundled() throws IOException {
      Recipe base = Recipes.named("base-v1").orElseThrow();
      Recipe chat = Recipes.named(BundledModels.CHAT).orElseThrow();
      return new Stages(
          base,
          BundledModels.unpack(base.name()),
          chat,
          BundledModels.unpack(chat.name()),
          FEW_STEPS);
    }
  }

  private record Remembered(int number, Conversation conversation, String fact) {}

  private final Connection connection;
  private final Topics topics;
  private final Path directory;
  private final LiveView view;
  private final InfluenceLines lines;
  private final Stages stages;
  private final CompletableFuture<Remembered> remembered = new CompletableFuture<>();

  InfluenceScene(
      Connection connection,
      Topics topics,
      Path dataDir,
      LiveView view,
      InfluenceLines lines,
      Stages stages) {
    super("quickstart-influence", view, lines::line, "; the next start goes on there");
    this.connection = connection;
    this.topics = topics;
    this.directory = dataDir.toAbsolutePath().normalize().resolve("influence");
    this.view = view;
    this.lines = lines;
    this.stages = stages;
  }

  @Override
  public void shown(int number, Conversation conversation, Attribution attribution) {
    String fact = conversation.attributes().get(QuestionLines.FACT);
    if (fact != null
        && isFromMemory(conversation)
        && conversation.model().equals(stages.chat().name())) {
      boolean unused = remembered.complete(new Remembered(number, conversation, fact));
    }
    beginAt(number);
  }

  /** Whether an answer is right though its context does not say it. */
  static boolean isFromMemory(Conversation answered) {
    Map<String, String> attributes = answered.attributes();
    return Kind.NO_ANSWER_KNOWN.name().equals(attributes.get(QuestionLines.KIND))
        && answered.response().strip().equals(attributes.get(QuestionLines.EXPECTED));
  }

  @Override
  void play() throws Exception {
    TorchRuntime.workAlone(); // one core for this, the other for the traffic
    TrainingDataIndex index = index();
    List<Document> documents = Recipes.documents(stages.base());
    long began = System.nanoTime();
    if (!index.isComplete()) {
      say(
          lines.line(
              String.format(
                  Locale.ROOT,
                  "being computed beside the traffic, once, in a few minutes: EK-FAC factors of %s"
                      + " and %s, and an index of the %,d documents that %s read",
                  stages.base().name(),
                  stages.chat().name(),
                  documents.size(),
                  stages.base().name())));
    }
    try {
      index.complete(this::isStopping, this::at);
    } finally {
      TorchRuntime.workTogether(Runtime.getRuntime().availableProcessors());
    }
    at("the index is there, and no right answer from memory has come yet");
    say(
        lines.line(
            String.format(
                Locale.ROOT,
                "index and factors are there (%d s)",
                Duration.ofNanos(System.nanoTime() - began).toSeconds())));
    Remembered asked = remembered.get();
    ask(index, asked, stating(documents, asked.fact()));
    end();
  }

  private TrainingDataIndex index() throws IOException {
    return new TrainingDataIndex(
        directory.resolve(digest(stages.baseModel()) + "-" + digest(stages.chatModel())),
        stages.base(),
        stages.baseModel(),
        stages.chat(),
        stages.chatModel(),
        stages.every());
  }

  private static String digest(Path model) {
    try (ModelFiles files = ModelFiles.open(model)) {
      return files.digest().substring(0, 12);
    }
  }

  /** The first sentence of each document that states a fact, by the document's id. */
  private static Map<String, String> stating(List<Document> documents, String fact) {
    Map<String, String> stating = new HashMap<>();
    for (Document document : documents) {
      for (StatedFact stated : document.facts()) {
        if (stated.fact().equals(fact)) {
          String sentence = document.sentences().get(stated.sentence()).in(document.text());
          stating.putIfAbsent(document.id(), sentence);
        }
      }
    }
    return stating;
  }

  private void ask(TrainingDataIndex index, Remembered asked, Map<String, String> stating)
      throws Exception {
    try (AvroValues values = new AvroValues(connection);
        Consumer<byte[], byte[]> feed = new Clients(connection).reader("quickstart-influences");
        InfluenceProcessor processor =
            InfluenceProcessor.start(
                InfluenceConfig.read(Settings.of(settings(index))), Map.of())) {
      List<TopicPartition> influences =
          feed.partitionsFor(topics.influences().name(), LOOK_UP).stream()
              .map(info -> new TopicPartition(info.topic(), info.partition()))
              .toList();
      feed.assign(influences);
      feed.endOffsets(influences, LOOK_UP).forEach(feed::seek);
      say(lines.asked(asked.number(), asked.conversation(), stages.base().name()));
      at("it was asked about answer #" + asked.number());
      send(values, InfluenceRequests.of(asked.conversation(), InfluenceCause.REQUESTED, "reader"));
      while (!isStopping()) {
        if (processor.ended().isDone()) {
          Void unused = processor.ended().get();
        }
        for (ConsumerRecord<byte[], byte[]> record : feed.poll(POLL)) {
          Influence influence =
              values.read(record.value(), Influence.class, Influence.getClassSchema());
          if (influence.getResponseId().equals(asked.conversation().responseId())) {
            List<String> found = new ArrayList<>(lines.found(influence, stating));
            found.add("");
            view.lines(found);
            return;
          }
        }
      }
    }
  }

  private void send(AvroValues values, InfluenceRequest request) {
    try (Producer<byte[], byte[]> producer =
        new Clients(connection).transactionalProducer("quickstart-influence")) {
      producer.initTransactions();
      producer.beginTransaction();
      String topic = topics.influenceRequests().name();
      var unused = producer.send(cloudEvent(values, topic, request.getResponseId(), request));
      producer.commitTransaction();
    }
  }

  private Map<String, String> settings(TrainingDataIndex index) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", connection.bootstrapServers());
    settings.put("registry.url", connection.registryUrl());
    settings.put("instance.id", "quickstart");
    settings.put("data.dir", directory.toString());
    settings.put("http.port", "-1");
    settings.put("shutdown.grace", "2s");
    settings.put("model", stages.chatModel().toString());
    settings.put("models.aliases", stages.chat().name());
    settings.put("indexes", index.index().toString());
    settings.put("factors", index.factors().toString());
    settings.put("sampling.rate", "0");
    settings.put("query.measure", "log-odds");
    settings.put("query.alpha", "1x");
    settings.put("engine.device", "cpu");
    return settings;
  }

  @Override
  public void stop() {
    super.stop();
    boolean unused = remembered.cancel(false);
  }
}
