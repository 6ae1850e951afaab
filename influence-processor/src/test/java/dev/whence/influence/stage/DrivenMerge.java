package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCost;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.PartialKind;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.processor.api.MockProcessorContext;
import org.apache.kafka.streams.processor.api.MockProcessorContext.CapturedPunctuator;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A merger without brokers, its clock in the hands of the test. */
abstract class DrivenMerge {
  static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
  static final Duration DEADLINE = Duration.ofSeconds(5);
  static final String DEAD = "dead";
  static final int QUEUE_BYTES = 100_000;
  static final int OPEN_BYTES = 16 << 20;

  /** Tests run in several JVMs, whose stores must not be in one place. */
  @TempDir Path stores;

  final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  final InfluenceMetrics metrics = new InfluenceMetrics(meters);
  final Topics topics = new Topics("t.");
  TopologyTestDriver driver;
  TestInputTopic<String, InfluencePartial> partials;
  TestOutputTopic<String, Influence> influences;

  /** Plain Avro, without a registry; a value that begins with FF is none. */
  static Serde<InfluencePartial> partialSerde() {
    return Serdes.serdeFrom(
        (topic, value) -> bytes(value),
        (topic, bytes) -> {
          if (bytes[0] == (byte) 0xff) {
            UnreadableException why = new UnreadableException("NOT_AVRO", "no value");
            throw new SerializationException(why.getMessage(), why);
          }
          return read(() -> InfluencePartial.fromByteBuffer(ByteBuffer.wrap(bytes)));
        });
  }

  static Serde<Influence> influenceSerde() {
    return Serdes.serdeFrom(
        (topic, value) -> read(() -> array(value.toByteBuffer())),
        (topic, bytes) -> read(() -> Influence.fromByteBuffer(ByteBuffer.wrap(bytes))));
  }

  static byte[] bytes(InfluencePartial value) {
    return read(() -> array(value.toByteBuffer()));
  }

  static byte[] array(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }

  interface Reading<T> {
    T read() throws IOException;
  }

  static <T> T read(Reading<T> reading) {
    try {
      return reading.read();
    } catch (IOException e) {
      throw new SerializationException(e);
    }
  }

  @BeforeEach
  void open() {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "merge");
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
    properties.put(StreamsConfig.STATE_DIR_CONFIG, stores.toString());
    properties.put(
        StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG,
        UnreadablePartials.class.getName());
    properties.put(UnreadablePartials.QUEUE, DEAD);
    properties.put(UnreadablePartials.QUEUE_BYTES, QUEUE_BYTES);
    properties.put(UnreadablePartials.METRICS, metrics);
    driver =
        new TopologyTestDriver(
            MergeTopology.of(
                topics,
                partialSerde(),
                influenceSerde(),
                new MergeProcessor.Settings("test", OPEN_BYTES),
                metrics),
            properties,
            START);
    partials =
        driver.createInputTopic(
            topics.influencePartials().name(), new StringSerializer(), partialSerde().serializer());
    influences =
        driver.createOutputTopic(
            topics.influences().name(),
            Serdes.String().deserializer(),
            influenceSerde().deserializer());
  }

  @AfterEach
  void close() {
    driver.close();
  }

  static InfluencePartial opening(int shards) {
    return opening(shards, DEADLINE);
  }

  static InfluencePartial opening(int shards, Duration deadline) {
    return InfluencePartial.newBuilder()
        .setQueryId("q")
        .setKind(PartialKind.OPEN)
        .setOpen(
            InfluenceOpening.newBuilder()
                .setShards(shards)
                .setDeadline(START.plus(deadline))
                .setTop(2)
                .setEvent(
                    Influence.newBuilder()
                        .setResponseId("r")
                        .setQueryId("q")
                        .setTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
                        .setCoverage(InfluenceCoverage.newBuilder().setDocuments(80).build())
                        .setCost(InfluenceCost.newBuilder().setTokens(30).setSeconds(0.5).build())
                        .build())
                .build())
        .build();
  }

  /** Of each shard ten documents were scanned; the best has the shard's number as influence. */
  static InfluencePartial answer(Integer... shards) {
    return InfluencePartial.newBuilder()
        .setQueryId("q")
        .setKind(PartialKind.ANSWER)
        .setShards(
            List.of(shards).stream()
                .map(
                    shard ->
                        ShardAnswer.newBuilder()
                            .setShard(shard)
                            .setStatus(ShardStatus.SCANNED)
                            .setDocuments(10)
                            .build())
                .toList())
        .setDocuments(
            List.of(shards).stream()
                .flatMap(shard -> List.of(document(shard, shard), document(shard, -shard)).stream())
                .toList())
        .setTokens(100)
        .setDocumentsReranked(2)
        .setSeconds(0.25)
        .build();
  }

  static InfluentialDocument document(int shard, double influence) {
    return InfluentialDocument.newBuilder()
        .setId("d" + influence)
        .setShard(shard)
        .setInfluence(influence)
        .build();
  }

  static InfluencePartial missing(int shard, String reason) {
    return InfluencePartial.newBuilder()
        .setQueryId("q")
        .setKind(PartialKind.ANSWER)
        .setShards(
            List.of(
                ShardAnswer.newBuilder()
                    .setShard(shard)
                    .setStatus(ShardStatus.MISSING)
                    .setReason(reason)
                    .build()))
        .build();
  }

  void pipe(InfluencePartial partial) {
    partials.pipeInput("q", partial);
  }

  /** At the end in steps, as a merger looks at its clock that is not away. */
  void advance(Duration time) {
    Duration step = Duration.ofMillis(500);
    Duration left = time;
    Duration looking = MergeProcessor.SILENT_FOR.plus(step);
    if (left.compareTo(looking) > 0) {
      driver.advanceWallClockTime(left.minus(looking));
      left = looking;
    }
    while (left.compareTo(step) > 0) {
      driver.advanceWallClockTime(step);
      left = left.minus(step);
    }
    driver.advanceWallClockTime(left);
  }

  Influence only() {
    assertThat(influences.getQueueSize()).isEqualTo(1);
    return influences.readValue();
  }

  double ignored(String why) {
    var counter = meters.find("whence.influence.partials.ignored").tag("why", why).counter();
    return counter == null ? 0 : counter.count();
  }

  static InfluenceMerge keptWithOneOfThree() {
    return InfluenceMerge.newBuilder()
        .setQueryId("q")
        .setSince(START)
        .setOpen(opening(3).getOpen())
        .setAnswers(List.of(answer(1)))
        .build();
  }

  /** The processor by itself, with what another one kept. */
  final class Successor {
    final MockProcessorContext<String, Influence> context = new MockProcessorContext<>();
    final MergeProcessor processor =
        new MergeProcessor(new MergeProcessor.Settings("successor", OPEN_BYTES), metrics);
    private Instant lookedAt;

    Successor(InfluenceMerge kept) {
      this(kept, START);
    }

    Successor(InfluenceMerge kept, Instant now) {
      this(List.of(kept), now);
    }

    Successor(List<InfluenceMerge> kept, Instant now) {
      begin(kept, now);
    }

    /** Again, too, as a task is begun whose stores and offsets went back. */
    void begin(List<InfluenceMerge> kept, Instant now) {
      lookedAt = now;
      context.setCurrentSystemTimeMs(now.toEpochMilli());
      KeyValueStore<String, InfluenceMerge> open = store(MergeTopology.OPEN_STORE);
      kept.forEach(one -> open.put(one.getQueryId(), one));
      store(MergeTopology.CLOSED_STORE);
      processor.init(context);
    }

    private KeyValueStore<String, InfluenceMerge> store(String name) {
      KeyValueStore<String, InfluenceMerge> store =
          Stores.keyValueStoreBuilder(
                  Stores.inMemoryKeyValueStore(name), Serdes.String(), new MergeSerde())
              .withLoggingDisabled()
              .build();
      store.init(context.getStateStoreContext(), store);
      context.addStateStore(store);
      return store;
    }

    /** What the next one finds. */
    InfluenceMerge kept() {
      KeyValueStore<String, InfluenceMerge> store = context.getStateStore(MergeTopology.OPEN_STORE);
      return store.get("q");
    }

    void process(String queryId, InfluencePartial partial, Instant written) {
      processor.process(new Record<>(queryId, partial, written.toEpochMilli()));
    }

    /** Every 50 ms. */
    void lookUntil(Instant now) {
      while (lookedAt.isBefore(now)) {
        Instant next = lookedAt.plus(MergeProcessor.LOOK_EVERY);
        lookAt(next.isBefore(now) ? next : now);
      }
    }

    void lookAt(Instant now) {
      lookedAt = now;
      context.setCurrentSystemTimeMs(now.toEpochMilli());
      scheduled().get(0).getPunctuator().punctuate(now.toEpochMilli());
    }

    List<CapturedPunctuator> scheduled() {
      return context.scheduledPunctuators().stream().filter(one -> !one.cancelled()).toList();
    }

    List<Influence> results() {
      return context.forwarded().stream().<Influence>map(one -> one.record().value()).toList();
    }
  }
}
