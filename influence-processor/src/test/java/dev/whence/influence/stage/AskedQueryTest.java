package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.avro.InfluenceQuery;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What of a query's record is believed. */
class AskedQueryTest {
  private static final Instant NOW = Instant.parse("2026-01-01T00:00:00Z");

  private static InfluenceQuery with(Consumer<InfluenceQuery.Builder> change) {
    InfluenceQuery.Builder query =
        InfluenceQuery.newBuilder()
            .setQueryId("q")
            .setShardChecksums(List.of("c"))
            .setNorm(1)
            .setTokens(1)
            .setSketchStep(1)
            .setLambda("0.1x")
            .setDeadline(NOW.plusSeconds(60));
    change.accept(query);
    return query.build();
  }

  private static String refused(Consumer<InfluenceQuery.Builder> change) {
    InfluenceQuery query = with(change);
    return invalid(() -> AskedQuery.check(query, NOW));
  }

  private static String invalid(ThrowingCallable asked) {
    AskedQuery.InvalidException e = catchThrowableOfType(AskedQuery.InvalidException.class, asked);
    assertThat(e).isNotNull();
    assertThat(e.failure().code()).isEqualTo("INVALID_QUERY");
    return e.failure().message();
  }

  @Test
  void whatIsWrongWithASettingIsSaidWithoutItsValue() {
    assertThatCode(() -> AskedQuery.check(with(query -> {}), NOW)).doesNotThrowAnyException();
    assertThat(refused(query -> query.setLambda("secret")))
        .isEqualTo("the query can not be: its lambda, of 6 characters, is none");
    assertThat(refused(query -> query.setAlpha("-3.75"))).doesNotContain("3.75");
    assertThat(refused(query -> query.setMeasure("s".repeat(1 << 20))))
        .isEqualTo("the query can not be: its measure, of 1048576 characters, is none");
  }

  @Test
  void whatNoConfigurationAsksIsRefused() {
    refused(query -> query.setTop(InfluenceConfig.MOST_TOP + 1));
    refused(query -> query.setRerank(InfluenceConfig.MOST_RERANK + 1));
    refused(query -> query.setDeadline(Instant.EPOCH));
    refused(query -> query.setDeadline(NOW.plus(Duration.ofHours(2))));
    refused(query -> query.setSketchStep(Float.MAX_VALUE / 30_000));
  }

  /** It goes to the dead letters; waiting would hold up whatever is behind it. */
  @Test
  void aSketchInAFileIsTheQuerysFaultWhereNoDirectoryIsConfigured() {
    InfluenceQuery query = with(one -> one.setSketchFile("a".repeat(64)));
    assertThat(invalid(() -> AskedQuery.bytes(query, Optional.empty())))
        .contains("claim-check.dir is not set");
  }

  private static List<Integer> shards(String header) {
    return AskedShards.of(
        new SourceRecord(
            "t", 0, 0, 0, null, null, List.of(EventHeader.of(AskedShards.HEADER, header))));
  }

  @Test
  void aHeaderThatNamesShardsThatCanNotBeOrOneTwiceNamesNone() {
    assertThat(shards("3,11,4096")).containsExactly(3, 11, 4096);
    for (String bad : List.of("", "0", "-1", "3,3", "4097", "3,", "99999999999")) {
      assertThat(shards(bad)).as(bad).isEmpty();
    }
    assertThat(shards(IntStream.range(0, 40_000).mapToObj(i -> "7").collect(Collectors.joining())))
        .isEmpty();
  }
}
