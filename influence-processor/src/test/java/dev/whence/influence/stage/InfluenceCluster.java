package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.InfluenceResult;
import dev.whence.influence.query.OpenedSearch;
import dev.whence.influence.query.QueryOptions;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Fact;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * A broker, a registry, and an index of 40 documents of tiny-base in eight shards, with factors of
 * it and of tiny-chat. Each test has topics of its own.
 */
final class InfluenceCluster {
  static final int SHARDS = 8;
  static final int DOCUMENTS = 40;
  static final String MODEL = "acme/chat-1";

  private static final List<InfluenceCluster> OPEN = new ArrayList<>();
  private static final World WORLD = SampleCorpus.world("tiny-base");

  final EmbeddedBroker broker;
  final EmbeddedRegistry registry;
  final Connection connection;
  final Path directory;
  private final List<Topics> named = new ArrayList<>();

  private InfluenceCluster() throws IOException {
    directory = Files.createTempDirectory("whence-influence");
    broker = EmbeddedBroker.open(directory.resolve("broker"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
    connection = Connection.of(broker.bootstrapServers(), registry.url());
    Path corpus = SampleCorpus.write(directory.resolve("corpus.jsonl"), TinyFactors.documents());
    Path asked = SampleCorpus.writeAsked(directory.resolve("asked.jsonl"), WORLD);
    try (TappedModel base = TinyFactors.base();
        TappedModel chat = TinyFactors.chat()) {
      TinyFactors.compute(base, corpus, pretraining(), TinyFactors.OPTIONS);
      TinyFactors.compute(chat, asked, fineTuning(), TinyFactors.OPTIONS);
      build(base, pretraining(), corpus, index(), inShards(SHARDS));
    }
  }

  private static void build(
      TappedModel base, Path factorsPath, Path corpus, Path output, IndexJob.Options options)
      throws IOException {
    try (EkfacFactors factors = EkfacFactors.read(factorsPath, base.matrices())) {
      new IndexJob(
              base,
              baseModel(),
              factors,
              factorsPath,
              new CorpusFile(corpus),
              output,
              options.withPackTokens(256))
          .run(FactorsJob.Listener.NONE);
    }
  }

  private static IndexJob.Options inShards(int shards) {
    return IndexJob.Options.of(1024).withShards(shards, OptionalInt.empty());
  }

  /** Another index of the same documents. */
  void build(Path output, int shards) throws IOException {
    build(output, shards, Measure.LOG_LIKELIHOOD);
  }

  /** Another index of the same documents, by gradients of a measure. */
  void build(Path output, int shards, Measure measure) throws IOException {
    try (TappedModel base = TinyFactors.base()) {
      build(
          base,
          pretraining(),
          directory.resolve("corpus.jsonl"),
          output,
          inShards(shards).withMeasure(measure));
    }
  }

  /** One shard of another index of the same documents, by who sees them in a directory. */
  static void build(Path seen, Path output, int shards, OptionalInt only) throws IOException {
    try (TappedModel base = TinyFactors.base()) {
      build(
          base,
          seen.resolve("factors/base"),
          seen.resolve("corpus.jsonl"),
          output,
          IndexJob.Options.of(1024).withShards(shards, only));
    }
  }

  /** An index of other documents by the same factors; 0 buckets: the default. */
  void build(Path corpus, Path output, int shards, int buckets) throws IOException {
    try (TappedModel base = TinyFactors.base();
        EkfacFactors factors = EkfacFactors.read(pretraining(), base.matrices())) {
      build(
          base,
          pretraining(),
          corpus,
          output,
          IndexJob.Options.of(buckets == 0 ? IndexJob.defaultBuckets(factors) : buckets)
              .withShards(shards, OptionalInt.empty()));
    }
  }

  static synchronized InfluenceCluster shared() throws IOException {
    if (OPEN.isEmpty()) {
      InfluenceCluster cluster = new InfluenceCluster();
      OPEN.add(cluster);
      Runtime.getRuntime()
          .addShutdownHook(
              new Thread(
                  () -> {
                    try {
                      cluster.broker.close();
                      cluster.registry.close();
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  }));
    }
    return OPEN.get(0);
  }

  Path index() {
    return directory.resolve("indexes/base");
  }

  Path pretraining() {
    return directory.resolve("factors/base");
  }

  Path fineTuning() {
    return directory.resolve("factors/chat");
  }

  static Path baseModel() throws IOException {
    return BundledModels.unpack("tiny-base");
  }

  static Path chatModel() throws IOException {
    return BundledModels.unpack("tiny-chat");
  }

  /** Fresh topics with registered schemas. */
  Topics topics() {
    Topics topics = new Topics("t" + UUID.randomUUID().toString().substring(0, 8) + ".");
    new TopicAdmin(new Clients(connection), topics.all()).create();
    return topics;
  }

  /** Topics of which only names and schemas are needed, made once as nobody writes to them. */
  synchronized Topics namedTopics() {
    if (named.isEmpty()) {
      named.add(topics());
    }
    return named.get(0);
  }

  /** The settings of a processor on these topics that asks about everything, and more. */
  Map<String, String> settings(Topics topics, Path data, Map<String, String> more)
      throws IOException {
    Map<String, String> settings = new HashMap<>();
    String prefix = topics.models().name().replaceAll("models$", "");
    settings.put("kafka.bootstrap.servers", broker.bootstrapServers());
    settings.put("registry.url", registry.url());
    settings.put("topics.prefix", prefix);
    settings.put("group", prefix + "influence");
    settings.put("instance.id", "test-0");
    settings.put("data.dir", data.toString());
    settings.put("http.port", "-1");
    settings.put("engine.device", "cpu");
    settings.put("engine.threads", "1");
    settings.put("model", chatModel().toString());
    settings.put("models.aliases", MODEL);
    settings.put("indexes", directory.resolve("indexes").toString());
    settings.put("factors", directory.resolve("factors").toString());
    settings.put("sampling.rate", "1");
    settings.put("query.top", "40");
    settings.put("query.rerank", "40");
    settings.put("backoff.first", "100ms");
    settings.put("backoff.most", "500ms");
    settings.put("failure.undecided-for", "300ms");
    settings.putAll(more);
    return settings;
  }

  InfluenceProcessor start(Topics topics, Path data, Map<String, String> more) throws IOException {
    return InfluenceProcessor.start(
        InfluenceConfig.read(Settings.of(settings(topics, data, more))), Map.of());
  }

  /** A question about the nth fact that training documents state, answered; of our model. */
  static Conversation answered(String id, int nth) {
    List<Fact> facts = WORLD.facts().stream().filter(one -> WORLD.documents(one) > 3).toList();
    return named(id, MODEL, Questions.withoutContext(facts.get(nth % facts.size()), 0).answered());
  }

  static Conversation named(String id, String model, Conversation like) {
    return like.toBuilder()
        .responseId(id)
        .model(model)
        .conversationId("conversation-1")
        .subjectId("subject-1")
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .build();
  }

  /** What the search on files says of the same response. */
  InfluenceResult searched(Conversation conversation, QueryOptions options) throws IOException {
    try (OpenedSearch search =
        OpenedSearch.open(
            OpenedSearch.Files.of(index()).withAnswering(chatModel(), Optional.of(fineTuning())),
            TinyFactors.CPU)) {
      return search.search().search(conversation, options);
    }
  }

  GradientIndex opened() {
    return GradientIndex.open(index());
  }

  void respond(Topics topics, Conversation... conversations) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(connection)) {
      for (Conversation one : conversations) {
        records.add(
            record(topics.responses().name(), one.responseId(), LlmResponses.toAvro(one), values));
      }
    }
    send(records);
  }

  void request(Topics topics, Conversation conversation, InfluenceCause cause) {
    send(
        topics.influenceRequests().name(),
        conversation.responseId(),
        InfluenceRequests.of(conversation, cause, "test"));
  }

  void send(String topic, String key, SpecificRecord value) {
    try (AvroValues values = new AvroValues(connection)) {
      send(List.of(record(topic, key, value, values)));
    }
  }

  private static ProducerRecord<byte[], byte[]> record(
      String topic, String key, SpecificRecord value, AvroValues values) {
    return new ProducerRecord<>(
        topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, value));
  }

  void send(List<ProducerRecord<byte[], byte[]>> records) {
    raw().send(records);
  }

  private RawRecords raw() {
    return new RawRecords(broker.bootstrapServers());
  }

  /** Everything committed in a topic. */
  List<ConsumerRecord<byte[], byte[]>> read(String topic) {
    return raw().committed(topic);
  }

  <T extends SpecificRecord> List<T> read(String topic, Class<T> type, Schema schema) {
    List<T> all = new ArrayList<>();
    try (AvroValues values = new AvroValues(connection)) {
      for (ConsumerRecord<byte[], byte[]> record : read(topic)) {
        all.add(values.read(record.value(), type, schema));
      }
    } catch (dev.whence.runtime.serde.UnreadableException e) {
      throw new AssertionError(e);
    }
    return all;
  }

  List<Influence> influences(Topics topics) {
    return read(topics.influences().name(), Influence.class, Influence.getClassSchema());
  }
}
