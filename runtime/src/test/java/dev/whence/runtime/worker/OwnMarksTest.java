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
    OffsetAndMetadata mark = marks.mark(PARTITION, ONCE, Attempt.NONE);
    assertThat(marks.read(PARTITION, mark).before(7)).isZero();
  }

  @Test
  void whatAnotherProcessHasBegunIsTakenAsItStands() {
    OffsetAndMetadata mine = marks.mark(PARTITION, ONCE, Attempt.NONE);
    // The same records, begun by another process to the same end.
    OffsetAndMetadata others = new OwnMarks().mark(PARTITION, ONCE, Attempt.NONE);
    assertThat(others.offset()).isEqualTo(mine.offset());
    assertThat(marks.read(PARTITION, others).before(7)).isEqualTo(1);
    OffsetAndMetadata twice = new OffsetAndMetadata(7, Attempt.of(1, 9).begunAlone(7).metadata(7));
    assertThat(marks.read(PARTITION, twice).before(7)).isEqualTo(2);
  }

  @Test
  void aMarkIsForgottenWithWhatItWasAbout() {
    OffsetAndMetadata mark = marks.mark(PARTITION, ONCE, Attempt.NONE);
    marks.gone(Set.of(PARTITION));
    assertThat(marks.read(PARTITION, mark).before(7)).isEqualTo(1);
  }
}
