package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AttemptTest {
  @Test
  void aRecordThatKillsIsCountedAloneAndTheRestKeepsItsCount() {
    Attempt batch = Attempt.of(1, 16);
    Attempt second = Attempt.parse(batch.begunAlone(7).metadata(7));
    Attempt third = Attempt.parse(second.begunAlone(7).metadata(7));
    assertThat(third.before(7)).isEqualTo(3);
    assertThat(third.before(8)).isEqualTo(1);
    assertThat(third.before(15)).isEqualTo(1);
    assertThat(third.before(16)).isZero();
    assertThat(third.metadata(7)).isEqualTo("attempt=3;to=8;rest=1;restTo=16");
    assertThat(third.metadata(8)).isEqualTo("attempt=1;to=16");
    assertThat(third.metadata(16)).isEmpty();
  }

  @Test
  void whoHasWrittenItChangesNothing() {
    assertThat(Attempt.parse("attempt=2;to=8;rest=1;restTo=16;by=0123abcd"))
        .isEqualTo(new Attempt(2, 8, 1, 16));
  }

  @Test
  void howManyPartitionsThereWereWhenTheGroupBeganIsNotAboutRecords() {
    assertThat(Attempt.parse("partitions=12")).isEqualTo(Attempt.NONE);
    assertThat(Attempt.parse("attempt=2;to=8;memory=12;partitions=12;by=0123abcd"))
        .isEqualTo(Attempt.of(2, 8).outOfMemory(12));
  }

  @Test
  void whereTheMemoryRanOutStandsAloneOrBehindTheRest() {
    assertThat(Attempt.NONE.outOfMemory(12).metadata(10)).isEqualTo("memory=12");
    assertThat(Attempt.parse("memory=12")).isEqualTo(Attempt.NONE.outOfMemory(12));
    Attempt both = Attempt.of(2, 8).outOfMemory(12);
    assertThat(both.metadata(7)).isEqualTo("attempt=2;to=8;memory=12");
    assertThat(Attempt.parse(both.metadata(7) + ";by=0123abcd")).isEqualTo(both);
    assertThat(Attempt.parse(both.begunAlone(7).metadata(7)).outOfMemoryFrom()).isEqualTo(12);
    assertThat(both.withMemory().metadata(7)).isEqualTo("attempt=2;to=8");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "somebody else's", "attempt=x;to=1", "attempt=1", "attempt=99999999999;to=1"})
  void foreignMetadataSaysNothing(String metadata) {
    assertThat(Attempt.parse(metadata)).isEqualTo(Attempt.NONE);
  }

  @Property
  void whatIsWrittenIsReadAgain(
      @ForAll @IntRange(min = 1, max = 100) int deaths,
      @ForAll @IntRange(min = 1, max = 64) int batch,
      @ForAll @IntRange(min = 0, max = 63) int killer) {
    Attempt attempt = Attempt.of(1, batch);
    long at = Math.min(killer, batch - 1);
    for (int death = 1; death < deaths; death++) {
      attempt = Attempt.parse(attempt.begunAlone(at).metadata(at));
    }
    assertThat(attempt.before(at)).isEqualTo(deaths);
    for (long other = at + 1; other < batch; other++) {
      assertThat(attempt.before(other)).isEqualTo(1);
    }
    assertThat(attempt.before(batch)).isZero();
  }
}
