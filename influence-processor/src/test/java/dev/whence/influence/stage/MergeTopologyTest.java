package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCost;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.MissingShard;
import dev.whence.schemas.avro.PartialKind;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.IntStream;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.processor.api.MockProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.test.TestRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The merger, without brokers. */
class MergeTopologyTest {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
  private static final Duration DEADLINE = Duration.ofSeconds(5);
  private static final String DEAD = "dead";
  private static final int QUEUE_BYTES = 100_000;

  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private final InfluenceMetrics metrics = new InfluenceMetrics(meters);
  private final Topics topics = new Topics("t.");
  private TopologyTestDriver driver;
  private TestInputTopic<String, InfluencePartial> partials;
  private TestOutputTopic<String, Influence> influences;

  /** Plain Avro, without a registry; a value that begins with FF is none. */
  private static Serde<InfluencePartial> partialSerde() {
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

  private static Serde<Influence> influenceSerde() {
    return Serdes.serdeFrom(
        (topic, value) -> read(() -> array(value.toByteBuffer())),
        (topic, bytes) -> read(() -> Influence.fromByteBuffer(ByteBuffer.wrap(bytes))));
  }

  private static byte[] bytes(InfluencePartial value) {
    return read(() -> array(value.toByteBuffer()));
  }

  private static byte[] array(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }

  private interface Reading<T> {
    T read() throws IOException;
  }

  private static <T> T read(Reading<T> reading) {
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
                new MergeProcessor.Settings("test"),
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

  private static InfluencePartial opening(int shards) {
    return InfluencePartial.newBuilder()
        .setQueryId("q")
        .setKind(PartialKind.OPEN)
        .setOpen(
            InfluenceOpening.newBuilder()
                .setShards(shards)
                .setDeadline(START.plus(DEADLINE))
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
  private static InfluencePartial answer(Integer... shards) {
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

  private static InfluentialDocument document(int shard, double influence) {
    return InfluentialDocument.newBuilder()
        .setId("d" + influence)
        .setShard(shard)
        .setInfluence(influence)
        .build();
  }

  private static InfluencePartial missing(int shard, String reason) {
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

  private void pipe(InfluencePartial partial) {
    partials.pipeInput("q", partial);
  }

  /** At the end in steps, as a merger looks at its clock that is not away. */
  private void advance(Duration time) {
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

  private Influence only() {
    assertThat(influences.getQueueSize()).isEqualTo(1);
    return influences.readValue();
  }

  private double ignored(String why) {
    var counter = meters.find("whence.influence.partials.ignored").tag("why", why).counter();
    return counter == null ? 0 : counter.count();
  }

  @Test
  void whenAllShardsHaveAnsweredTheBestOfBothSignsComeOutAtOnceAndOnce() {
    pipe(opening(8));
    for (int shard = 1; shard < 8; shard++) {
      pipe(answer(shard));
      assertThat(influences.isEmpty()).isTrue();
    }
    pipe(answer(8));
    assertThat(influences.getQueueSize()).isEqualTo(1);
    TestRecord<String, Influence> record = influences.readRecord();
    assertThat(record.key()).isEqualTo("r");
    assertThat(new String(record.headers().lastHeader("ce_type").value(), StandardCharsets.UTF_8))
        .isEqualTo("dev.whence.Influence.v1");
    assertThat(record.headers().lastHeader("traceparent")).isNotNull();
    Influence influence = record.value();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(influence.getReasonCode()).isEmpty();
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getInfluence)
        .containsExactly(8.0, 7.0, -8.0, -7.0);
    InfluenceCoverage coverage = influence.getCoverage();
    assertThat(coverage.getShare()).isEqualTo(1);
    assertThat(coverage.getShardsAnswered()).isEqualTo(8);
    assertThat(coverage.getDocuments()).isEqualTo(80);
    assertThat(coverage.getDocumentsScanned()).isEqualTo(80);
    assertThat(coverage.getMissing()).isEmpty();
    assertThat(influence.getCost().getTokens()).isEqualTo(830);
    assertThat(influence.getCost().getDocumentsReranked()).isEqualTo(16);
    assertThat(influence.getCost().getSeconds()).isEqualTo(2.5);
    advance(DEADLINE.multipliedBy(2));
    assertThat(influences.isEmpty()).isTrue();
  }

  @Test
  void aShardCountsOnceHoweverOftenItAnswers() {
    pipe(opening(2));
    pipe(answer(1));
    pipe(answer(1));
    pipe(opening(2));
    assertThat(influences.isEmpty()).isTrue();
    pipe(answer(1, 2)); // of which shard 2 is new
    Influence influence = only();
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(20);
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getInfluence)
        .containsExactly(2.0, 1.0, -2.0, -1.0);
    assertThat(ignored("duplicate")).isEqualTo(1);
    assertThat(ignored("asked_again")).isEqualTo(1);
  }

  @Test
  void answersAfterTheDeadlineAreOnlyCountedAndTheResultSaysSevenOfEight() {
    pipe(opening(8));
    IntStream.rangeClosed(1, 7).forEach(shard -> pipe(answer(shard)));
    advance(DEADLINE.minusMillis(100));
    assertThat(influences.isEmpty()).isTrue();
    advance(Duration.ofMillis(150));
    Influence influence = only();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(influence.getReasonCode()).isEqualTo("SHARDS_MISSING");
    assertThat(influence.getCoverage().getShare()).isEqualTo(7 / 8.0);
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(70);
    assertThat(influence.getCoverage().getMissing())
        .containsExactly(
            MissingShard.newBuilder()
                .setShard(8)
                .setReason("It did not answer before the deadline.")
                .build());
    pipe(answer(8));
    assertThat(influences.isEmpty()).isTrue();
    assertThat(ignored("late")).isEqualTo(1);
  }

  @Test
  void aShardThatIsMissingIsNotWaitedForAndTheResultSaysWhy() {
    pipe(opening(8));
    pipe(missing(3, "cut short"));
    for (int shard : new int[] {1, 2, 4, 5, 6, 7, 8}) {
      pipe(answer(shard));
    }
    Influence influence = only();
    assertThat(influence.getCoverage().getShare()).isEqualTo(7 / 8.0);
    assertThat(influence.getCoverage().getMissing())
        .containsExactly(MissingShard.newBuilder().setShard(3).setReason("cut short").build());
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getShard)
        .doesNotContain(3);
  }

  @Test
  void aShardThatWasMissingCountsWhenAnotherProcessHasScannedIt() {
    pipe(opening(2));
    pipe(missing(1, "not here"));
    pipe(answer(1));
    pipe(missing(1, "not here"));
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void whenNoShardAnswersThereIsAResultWithCoverageZero() {
    pipe(opening(8));
    advance(DEADLINE.plusMillis(50));
    Influence influence = only();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.FAILED);
    assertThat(influence.getReasonCode()).isEqualTo("NO_SHARD_ANSWERED");
    assertThat(influence.getCoverage().getShare()).isZero();
    assertThat(influence.getCoverage().getMissing()).hasSize(8);
    assertThat(influence.getDocuments()).isEmpty();
    assertThat(influence.getCost().getTokens()).isEqualTo(30);
  }

  @Test
  void anAnswerThatComesBeforeItsQuestionWaitsForIt() {
    pipe(answer(1));
    pipe(opening(2));
    assertThat(influences.isEmpty()).isTrue();
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void answersThatNobodyAskedForAreForgottenAfterTenMinutes() {
    pipe(answer(1));
    advance(Duration.ofMinutes(11));
    assertThat(influences.isEmpty()).isTrue();
    assertThat(ignored("never_asked")).isEqualTo(1);
    assertThat(driver.getKeyValueStore(MergeTopology.OPEN_STORE).all().hasNext()).isFalse();
  }

  @Test
  void aCompleteResultIsNotComputedAgainForTenMinutesAndAnIncompleteOneIs() {
    pipe(opening(1));
    pipe(answer(1));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    pipe(opening(1));
    pipe(answer(1));
    assertThat(influences.isEmpty()).isTrue();
    advance(MergeProcessor.CLOSED_FOR.plusSeconds(11));
    assertThat(driver.getKeyValueStore(MergeTopology.CLOSED_STORE).all().hasNext()).isFalse();

    pipe(opening(2)); // its deadline has passed long ago
    advance(MergeProcessor.SILENT_FOR);
    assertThat(only().getCoverage().getShare()).isZero();
    pipe(opening(2));
    pipe(answer(1));
    pipe(answer(2));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void aRecordThatCanNotBeReadGoesToTheDeadLetterQueueAndTheOthersGoOn() {
    TestInputTopic<String, byte[]> raw =
        driver.createInputTopic(
            topics.influencePartials().name(),
            new StringSerializer(),
            Serdes.ByteArray().serializer());
    pipe(opening(1));
    raw.pipeInput("q", new byte[] {(byte) 0xff, 1});
    pipe(answer(1));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    TestOutputTopic<String, byte[]> dead =
        driver.createOutputTopic(
            DEAD, Serdes.String().deserializer(), Serdes.ByteArray().deserializer());
    TestRecord<String, byte[]> letter = dead.readRecord();
    assertThat(letter.value()).containsExactly(0xff, 1);
    Map<String, String> expected =
        Map.of(
            "whence.error.code", "NOT_AVRO",
            "whence.error.topic", topics.influencePartials().name(),
            "whence.error.stage", "influence-merge");
    expected.forEach(
        (name, value) ->
            assertThat(
                    new String(letter.headers().lastHeader(name).value(), StandardCharsets.UTF_8))
                .isEqualTo(value));
  }

  /** What a successor finds: the store, and nothing that was in memory beside it. */
  @Test
  void aRestartInBetweenKeepsAnswersAndDeadline() {
    InfluenceMerge kept =
        InfluenceMerge.newBuilder()
            .setQueryId("q")
            .setSince(START)
            .setOpen(opening(3).getOpen())
            .setAnswers(List.of(answer(1)))
            .build();

    Successor first = new Successor(kept);
    first.processor.process(new Record<>("q", answer(2), 0));
    assertThat(first.context.forwarded()).isEmpty();
    first.processor.process(new Record<>("q", answer(3), 0));
    assertThat(first.results()).hasSize(1);
    assertThat(first.results().get(0).getCoverage().getShare()).isEqualTo(1);

    Successor second = new Successor(kept);
    second.lookUntil(START.plus(DEADLINE).minusMillis(1));
    assertThat(second.results()).isEmpty();
    second.lookUntil(START.plus(DEADLINE));
    assertThat(second.results()).hasSize(1);
    assertThat(second.results().get(0).getCoverage().getShare()).isEqualTo(1 / 3.0);
  }

  private static InfluenceMerge keptWithOneOfThree() {
    return InfluenceMerge.newBuilder()
        .setQueryId("q")
        .setSince(START)
        .setOpen(opening(3).getOpen())
        .setAnswers(List.of(answer(1)))
        .build();
  }

  @Test
  void afterAnOutageAnswersThatLieInTheTopicAreReadBeforeTheDeadlineCounts() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor reading = new Successor(keptWithOneOfThree(), after);
    reading.lookUntil(after.plusMillis(500));
    assertThat(reading.results()).isEmpty();
    reading.process("q", answer(2), START.plusSeconds(1));
    reading.lookUntil(after.plusMillis(2000));
    assertThat(reading.results()).isEmpty();
    reading.process("q", answer(3), START.plusSeconds(2));
    assertThat(reading.results()).hasSize(1);
    assertThat(reading.results().get(0).getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void afterAnOutageTheDeadlineCountsOnceALaterRecordWasReadOrNothingComes() {
    Instant after = START.plus(Duration.ofHours(1));
    Successor silent = new Successor(keptWithOneOfThree(), after);
    silent.lookUntil(after.plus(MergeProcessor.SILENT_FOR).minusMillis(100));
    assertThat(silent.results()).isEmpty();
    silent.lookUntil(after.plus(MergeProcessor.SILENT_FOR).plusMillis(50));
    assertThat(silent.results()).hasSize(1);
    assertThat(silent.results().get(0).getCoverage().getShare()).isEqualTo(1 / 3.0);

    Successor later = new Successor(keptWithOneOfThree(), after);
    later.process("other", answer(1), START.plus(DEADLINE).plusMillis(1));
    later.lookUntil(after.plusMillis(50));
    assertThat(later.results()).hasSize(1);
  }

  /** As a virtual machine does that was paused: brokers went on, and the wall clock, too. */
  @Test
  void whoWasAwayFirstHearsWhatWasSaidMeanwhile() {
    Successor paused = new Successor(keptWithOneOfThree(), START);
    paused.lookUntil(START.plusMillis(100));
    Instant back = START.plus(Duration.ofMinutes(1));
    paused.lookAt(back);
    assertThat(paused.results()).isEmpty();
    paused.lookUntil(back.plus(MergeProcessor.SILENT_FOR));
    assertThat(paused.results()).hasSize(1);
  }

  @Test
  void answersThatNobodyAskedForTakeABoundedPlaceInMemory() {
    InfluencePartial large =
        InfluencePartial.newBuilder(answer(1)).setNote("x".repeat(8 << 20)).build();
    for (String query : List.of("a", "b", "c", "d")) {
      partials.pipeInput(query, large); // the fourth is more than 32 MiB with what else it says
    }
    assertThat(ignored("never_asked")).isEqualTo(1);
    assertThat(driver.getKeyValueStore(MergeTopology.OPEN_STORE).approximateNumEntries())
        .isEqualTo(3);
  }

  @Test
  void whatIsSaidOfForeignOrUnscannedShardsIsNotBelieved() {
    pipe(opening(2));
    pipe(answer(1, 7));
    pipe(
        InfluencePartial.newBuilder(answer(2))
            .setShards(List.of(ShardAnswer.newBuilder().setShard(2).build()))
            .build());
    Influence influence = only();
    assertThat(influence.getCoverage().getShare()).isEqualTo(0.5);
    assertThat(influence.getDocuments()).extracting(InfluentialDocument::getShard).containsOnly(1);
  }

  @Test
  void aResultThatDoesNotFitLosesExcerptsThenReasonsThenDocumentsAndSaysSo() {
    List<InfluentialDocument> documents =
        IntStream.range(1, 101)
            .mapToObj(
                i ->
                    InfluentialDocument.newBuilder(document(1, i))
                        .setExcerpt("x".repeat(1000))
                        .build())
            .toList();
    Influence result =
        Influence.newBuilder(opening(1).getOpen().getEvent())
            .setStatus(InfluenceStatus.SCORED)
            .setDocuments(documents)
            .build();
    assertThat(Fitting.result(result, 200_000)).isSameAs(result);
    Influence bare = Fitting.result(result, 50_000);
    assertThat(Fitting.size(bare)).isLessThanOrEqualTo(50_000);
    assertThat(bare.getReasonCode()).isEqualTo(Fitting.CODE);
    assertThat(bare.getDocuments()).hasSize(100).allMatch(one -> one.getExcerpt().isEmpty());
    Influence fewer = Fitting.result(result, 2_000);
    assertThat(Fitting.size(fewer)).isLessThanOrEqualTo(2_000);
    assertThat(fewer.getDocuments()).isNotEmpty();
    assertThat(fewer.getDocuments().get(0).getInfluence()).isEqualTo(100);

    InfluenceMerge state =
        InfluenceMerge.newBuilder(keptWithOneOfThree())
            .setAnswers(
                List.of(InfluencePartial.newBuilder(answer(1)).setDocuments(documents).build()))
            .build();
    InfluenceMerge small = Fitting.state(state, 50_000);
    assertThat(Fitting.size(small)).isLessThanOrEqualTo(50_000);
    assertThat(small.getAnswers().get(0).getShards()).hasSize(1);
    assertThat(MergedInfluence.of(small.getOpen(), small.getAnswers()).getReason())
        .contains("2 of the 3 shards of the index were not scanned")
        .contains("left out");
  }

  @Test
  void aValueThatIsTooLargeForTheDeadLetterQueueIsLeftOutAndItsSizeSaid() {
    TestInputTopic<String, byte[]> raw =
        driver.createInputTopic(
            topics.influencePartials().name(),
            new StringSerializer(),
            Serdes.ByteArray().serializer());
    byte[] large = new byte[QUEUE_BYTES];
    large[0] = (byte) 0xff;
    raw.pipeInput("q", large);
    TestRecord<String, byte[]> letter =
        driver
            .createOutputTopic(
                DEAD, Serdes.String().deserializer(), Serdes.ByteArray().deserializer())
            .readRecord();
    assertThat(letter.value()).isNull();
    assertThat(
            new String(
                letter.headers().lastHeader(DeadLetterHeaders.OMITTED_BYTES).value(),
                StandardCharsets.UTF_8))
        .isEqualTo(Integer.toString(QUEUE_BYTES));
  }

  @Test
  void partialsThatNoPartOfTheProcessorWritesAreRefused() throws Exception {
    StreamsValues.check(opening(8), 1000);
    StreamsValues.check(answer(1, 2), 1000);
    InfluencePartial tooLong =
        InfluencePartial.newBuilder(answer(1)).setNote("x".repeat(1000)).build();
    InfluencePartial notFinite =
        InfluencePartial.newBuilder(answer(1))
            .setDocuments(List.of(document(1, Double.NaN)))
            .build();
    for (InfluencePartial bad : List.of(opening(0), opening(5000), tooLong, notFinite)) {
      assertThatThrownBy(() -> StreamsValues.check(bad, 1000))
          .isInstanceOf(UnreadableException.class)
          .hasMessageContaining("or has more than it may have");
    }
    assertThatThrownBy(() -> StreamsValues.check(opening(8), 2 << 20))
        .isInstanceOf(UnreadableException.class);
  }

  private final class Successor {
    final MockProcessorContext<String, Influence> context = new MockProcessorContext<>();
    final MergeProcessor processor =
        new MergeProcessor(new MergeProcessor.Settings("successor"), metrics);
    private Instant lookedAt;

    Successor(InfluenceMerge kept) {
      this(kept, START);
    }

    Successor(InfluenceMerge kept, Instant now) {
      lookedAt = now;
      context.setCurrentSystemTimeMs(now.toEpochMilli());
      store(MergeTopology.OPEN_STORE).put("q", kept);
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
      context.scheduledPunctuators().get(0).getPunctuator().punctuate(now.toEpochMilli());
    }

    List<Influence> results() {
      return context.forwarded().stream().<Influence>map(one -> one.record().value()).toList();
    }
  }
}
