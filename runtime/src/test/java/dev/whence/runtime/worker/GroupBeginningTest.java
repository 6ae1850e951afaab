package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GroupBeginningTest {
  private final GroupBeginning beginning = new GroupBeginning();

  private static TopicPartition partition(int number) {
    return new TopicPartition("in", number);
  }

  private static OffsetAndMetadata committed(String metadata) {
    return new OffsetAndMetadata(7, metadata);
  }

  private String signed(String metadata) {
    return beginning.signed(Map.of(partition(0), committed(metadata))).get(partition(0)).metadata();
  }

  @Test
  void aGroupOfWhichNothingIsCommittedBeginsWithThePartitionsThatThereAre() {
    beginning.learnAll(Arrays.asList(null, null), 2);
    assertThat(beginning.knew(partition(1))).isTrue();
    assertThat(beginning.knew(partition(2))).isFalse();
    assertThat(signed("")).isEqualTo("partitions=2");
    assertThat(signed("attempt=1;to=9")).isEqualTo("attempt=1;to=9;partitions=2");
  }

  /** Else it would read a backlog that the first member has just passed over. */
  @Test
  void itsSecondMemberFindsWhatTheFirstOneHasSaid() {
    beginning.learnAll(Arrays.asList(committed("partitions=2"), null), 2);
    assertThat(beginning.knew(partition(1))).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"partitions=1", "attempt=1;to=9;partitions=1;by=0123abcd"})
  void aPartitionThatWasAddedLaterIsToldByWhatIsCommittedOfTheOthers(String metadata) {
    beginning.learnAll(Arrays.asList(committed(metadata), null), 2);
    assertThat(beginning.knew(partition(0))).isTrue();
    assertThat(beginning.knew(partition(1))).isFalse();
    assertThat(signed("")).as("and stays one").isEqualTo("partitions=1");
  }

  @Test
  void whereAGroupHasCommittedWithoutTheNumberAllThatHasNoOffsetWasAddedLater() {
    beginning.learnAll(Arrays.asList(committed("attempt=1;to=9"), null), 2);
    assertThat(beginning.knew(partition(1))).isFalse();
  }

  @Test
  void nothingIsSaidByWhoKnowsNothing() {
    beginning.learn(List.of(committed("memory=3")));
    assertThat(signed("memory=3")).isEqualTo("memory=3");
  }
}
