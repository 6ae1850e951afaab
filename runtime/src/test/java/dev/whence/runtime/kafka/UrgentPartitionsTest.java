package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UrgentPartitionsTest {
  private static byte[] key(int i) {
    return ("k" + i).getBytes(StandardCharsets.UTF_8);
  }

  @Test
  void everyFourthPartitionIsReadFirst() {
    assertThat(IntStream.range(0, 12).filter(UrgentPartitions::holds)).containsExactly(1, 5, 9);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 12, 13, 50})
  void urgentRecordsAndOthersFillPartitionsOfTheirOwn(int number) {
    UrgentPartitions partitions = new UrgentPartitions(number);
    Set<Integer> urgent = new HashSet<>();
    Set<Integer> others = new HashSet<>();
    for (int i = 0; i < 5000; i++) {
      urgent.add(partitions.of(key(i), true));
      others.add(partitions.of(key(i), false));
      assertThat(partitions.of(key(i), false)).isEqualTo(partitions.of(key(i), false));
    }
    assertThat(urgent).isNotEmpty().allMatch(UrgentPartitions::holds);
    assertThat(others).isNotEmpty().noneMatch(UrgentPartitions::holds);
    urgent.addAll(others);
    assertThat(urgent)
        .containsExactlyInAnyOrderElementsOf(IntStream.range(0, number).boxed().toList());
  }

  @Test
  void aTopicOfOnePartitionHasOneQueue() {
    UrgentPartitions one = new UrgentPartitions(1);
    assertThat(UrgentPartitions.holds(0)).isFalse();
    assertThat(one.of(key(1), true)).isZero();
    assertThat(one.of(key(1), false)).isZero();
    assertThatThrownBy(() -> new UrgentPartitions(0)).hasMessageContaining("0 partitions");
  }
}
