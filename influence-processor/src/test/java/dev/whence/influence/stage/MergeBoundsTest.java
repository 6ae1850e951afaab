package dev.whence.influence.stage;

import static dev.whence.influence.stage.MergedInfluence.Closed.IN_TIME;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.MissingShard;
import dev.whence.schemas.avro.ShardAnswer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.test.TestRecord;
import org.junit.jupiter.api.Test;

/** The merger: what it does not believe, and what does not fit. */
class MergeBoundsTest extends DrivenMerge {
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
  void answersWhoseQuestionHasComeTakeNoPlaceAmongThoseThatNobodyAskedFor() {
    InfluencePartial large =
        InfluencePartial.newBuilder(answer(1)).setNote("x".repeat(8 << 20)).build();
    for (String query : List.of("a", "b", "c")) {
      partials.pipeInput(query, large);
    }
    partials.pipeInput("a", opening(3));
    partials.pipeInput("d", large);
    assertThat(ignored("never_asked")).isZero();
    partials.pipeInput("e", large);
    assertThat(ignored("never_asked")).isEqualTo(1);
    assertThat(influences.isEmpty()).isTrue();
    partials.pipeInput("b", opening(3)); // it takes a place among open ones instead
    assertThat(only().getReason()).contains("The query was closed early");
    partials.pipeInput("a", answer(2, 3));
    assertThat(ignored("late")).isEqualTo(1);
    partials.pipeInput("e", large);
    assertThat(ignored("never_asked")).isEqualTo(1);
    partials.pipeInput("b", answer(2, 3));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
  }

  @Test
  void whereOpenQueriesTakeTooMuchTheOldestIsClosedWithWhatIsThereAndSaysSo() {
    for (String query : List.of("first", "second", "third")) {
      partials.pipeInput(query, opening(3));
      driver.advanceWallClockTime(Duration.ofMillis(1));
    }
    partials.pipeInput("third", large(answer(1)));
    partials.pipeInput("first", large(answer(1)));
    assertThat(influences.isEmpty()).isTrue();
    partials.pipeInput("second", large(answer(1))); // 18 MiB with what the others have said
    Influence influence = only();
    assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
    assertThat(influence.getReasonCode()).isEqualTo("SHARDS_MISSING");
    assertThat(influence.getReason())
        .startsWith("2 of the 3 shards of the index were not scanned. The query was closed early")
        .contains("limits.open-bytes");
    assertThat(influence.getCoverage().getShare()).isEqualTo(1 / 3.0);
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(10);
    assertThat(influence.getCoverage().getMissing())
        .extracting(MissingShard::getReason)
        .containsOnly("It had not answered when the query was closed early.");
    assertThat(closedEarly()).isEqualTo(1);

    partials.pipeInput("first", answer(2, 3));
    assertThat(ignored("late")).isEqualTo(1);
    for (String query : List.of("second", "third")) {
      partials.pipeInput(query, answer(2, 3));
      assertThat(only().getCoverage().getShare()).isEqualTo(1);
    }
    partials.pipeInput("first", opening(3)); // it may be asked again at once
    partials.pipeInput("first", answer(1, 2, 3));
    assertThat(only().getCoverage().getShare()).isEqualTo(1);
    assertThat(closedEarly()).isEqualTo(1);
  }

  @Test
  void ofManySmallQueriesNoMoreAreOpenThanHaveAPlaceAndEachHasAResult() {
    int many = OPEN_BYTES / OpenQueries.PLACE_BYTES;
    Successor merger = new Successor(List.of(), START);
    IntStream.range(0, many).forEach(i -> merger.process("q" + i, openingOf("r" + i), START));
    int closed = merger.results().size();
    assertThat(closed).isPositive();
    assertThat(closedEarly()).isEqualTo(closed);
    assertThat(merger.results().get(0).getReason())
        .startsWith("None of the 1 shards of the index was scanned. The query was closed early");
    assertThat(merger.results())
        .extracting(Influence::getReason)
        .allMatch(reason -> reason.contains("The query was closed early"));
    merger.lookUntil(START.plus(DEADLINE));
    assertThat(merger.results())
        .extracting(Influence::getResponseId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, many).mapToObj(i -> "r" + i).toList());
    assertThat(merger.results().subList(closed, many))
        .extracting(Influence::getReason)
        .noneMatch(reason -> reason.contains("closed early"));
    assertThat(closedEarly()).isEqualTo(closed);
  }

  private static InfluencePartial openingOf(String responseId) {
    InfluencePartial opening = opening(1);
    Influence event =
        Influence.newBuilder(opening.getOpen().getEvent()).setResponseId(responseId).build();
    return InfluencePartial.newBuilder(opening)
        .setOpen(InfluenceOpening.newBuilder(opening.getOpen()).setEvent(event).build())
        .build();
  }

  @Test
  void aSuccessorKnowsWhichOfWhatItFindsIsTheOldest() {
    InfluenceMerge found =
        InfluenceMerge.newBuilder(keptWithOneOfThree())
            .setAnswers(List.of(large(answer(1))))
            .build();
    Successor merger =
        new Successor(
            List.of(
                InfluenceMerge.newBuilder(found)
                    .setQueryId("a")
                    .setSince(START.plusSeconds(1))
                    .build(),
                InfluenceMerge.newBuilder(found).setQueryId("b").build()),
            START.plusSeconds(2));
    merger.process("c", opening(3), START);
    assertThat(merger.results()).isEmpty();
    merger.process("c", large(answer(2)), START);
    assertThat(merger.results()).hasSize(1);
    merger.process("a", answer(2, 3), START);
    assertThat(merger.results()).hasSize(2);
    merger.process("b", answer(2, 3), START);
    assertThat(ignored("late")).isEqualTo(1);
  }

  /** 6 MiB that are in no result. */
  private static InfluencePartial large(InfluencePartial answer) {
    return InfluencePartial.newBuilder(answer).setInstance("x".repeat(6 << 20)).build();
  }

  private double closedEarly() {
    return meters.get("whence.influence.closed.early").counter().count();
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
    InfluenceMerge small = Fitting.state(state, 50_000).orElseThrow();
    assertThat(Fitting.size(small)).isLessThanOrEqualTo(50_000);
    assertThat(small.getAnswers().get(0).getShards()).hasSize(1);
    assertThat(MergedInfluence.of(small.getOpen(), small.getAnswers(), IN_TIME).getReason())
        .contains("2 of the 3 shards of the index were not scanned")
        .contains("left out");
  }

  /** Each as large as it may be, in characters of three bytes: 20 MB. */
  @Test
  void theLargestAnswersOfTheMostShardsFitIntoTheStore() throws Exception {
    List<InfluencePartial> answers = new ArrayList<>();
    for (int shard = 1; shard <= AskedShards.MOST; shard++) {
      InfluencePartial answer =
          InfluencePartial.newBuilder(answer(shard))
              .setQueryId("\u20ac".repeat(QueryId.LONGEST))
              .setNote("\u20ac".repeat(NamedDocuments.LONGEST_REASON))
              .setInstance("\u20ac".repeat(1024))
              .build();
      StreamsValues.check(answer, 10_000);
      answers.add(answer);
    }
    InfluenceMerge state =
        InfluenceMerge.newBuilder(keptWithOneOfThree())
            .setOpen(opening(AskedShards.MOST).getOpen())
            .setAnswers(answers)
            .build();
    assertThat(Fitting.size(state)).isGreaterThan(16 << 20);
    InfluenceMerge kept = Fitting.state(state, 12 << 20).orElseThrow();
    assertThat(Fitting.size(kept)).isLessThanOrEqualTo(12 << 20);
    assertThat(MergedInfluence.of(kept.getOpen(), kept.getAnswers(), IN_TIME))
        .isEqualTo(MergedInfluence.of(state.getOpen(), state.getAnswers(), IN_TIME));
  }

  /** As one of a merger that let more in: it would end the thread with every restart. */
  @Test
  void anAnswerWithWhichWhatIsKnownCanNotFitIsIgnored() {
    InfluenceOpening opening = opening(3).getOpen();
    Influence event =
        Influence.newBuilder(opening.getEvent()).setRequestedBy("x".repeat(13 << 20)).build();
    InfluenceMerge kept =
        InfluenceMerge.newBuilder(keptWithOneOfThree())
            .setOpen(InfluenceOpening.newBuilder(opening).setEvent(event).build())
            .build();
    Successor merger = new Successor(kept);
    merger.process("q", answer(2), START);
    assertThat(ignored("too_large")).isEqualTo(1);
    merger.process("q", answer(2, 3), START);
    assertThat(merger.results()).hasSize(1);
  }

  @Test
  void aQueryIsClosedWhateverDeadlineItNames() {
    InfluenceOpening opening =
        InfluenceOpening.newBuilder(opening(2).getOpen())
            .setDeadline(Instant.ofEpochMilli(Long.MAX_VALUE))
            .build();
    pipe(InfluencePartial.newBuilder(opening(2)).setOpen(opening).build());
    advance(AskedQuery.LATEST_DEADLINE.minusSeconds(1));
    assertThat(influences.isEmpty()).isTrue();
    advance(Duration.ofSeconds(2));
    assertThat(only().getReasonCode()).isEqualTo("NO_SHARD_ANSWERED");
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
    InfluencePartial twice = answer(1, 1);
    InfluencePartial misnamed =
        InfluencePartial.newBuilder(answer(1)).setQueryId("q".repeat(257)).build();
    InfluencePartial misnamedOpening =
        InfluencePartial.newBuilder(opening(8)).setQueryId("q".repeat(257)).build();
    for (InfluencePartial bad :
        List.of(opening(0), opening(5000), tooLong, notFinite, twice, misnamed, misnamedOpening)) {
      assertThatThrownBy(() -> StreamsValues.check(bad, 1000))
          .isInstanceOf(UnreadableException.class)
          .hasMessageContaining("or has more than it may have");
    }
    assertThatThrownBy(() -> StreamsValues.check(opening(8), 2 << 20))
        .isInstanceOf(UnreadableException.class);
  }
}
