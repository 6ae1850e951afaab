package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class OwnMarksTest {
  private static final TopicPartition PARTITION = new TopicPartition("in", 0);
  private static final OffsetAndMetadata ONCE =
      new OffsetAndMetadata(7, Attempt.of(1, 9).metadata(7));

  private final OwnMarks marks = new OwnMarks();

  @Test
  void whoFindsItsOwnMarkHasNotDied() {
    marks.written(PARTITION, ONCE, Attempt.NONE);
    assertThat(marks.read(PARTITION, ONCE).before(7)).isZero();
  }

  @Test
  void whatAnotherOneHasWrittenIsTakenAsItStands() {
    assertThat(marks.read(PARTITION, ONCE).before(7)).isEqualTo(1);
    marks.written(PARTITION, ONCE, Attempt.NONE);
    OffsetAndMetadata twice = new OffsetAndMetadata(7, Attempt.of(1, 9).begunAlone(7).metadata(7));
    assertThat(marks.read(PARTITION, twice).before(7)).isEqualTo(2);
    OffsetAndMetadata further = new OffsetAndMetadata(8, Attempt.of(1, 9).metadata(8));
    assertThat(marks.read(PARTITION, further).before(8)).isEqualTo(1);
  }

  @Test
  void aMarkIsForgottenWithWhatItWasAbout() {
    marks.written(PARTITION, ONCE, Attempt.NONE);
    marks.gone(Set.of(PARTITION));
    assertThat(marks.read(PARTITION, ONCE).before(7)).isEqualTo(1);
  }
}
