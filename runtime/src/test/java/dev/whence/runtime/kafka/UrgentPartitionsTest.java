package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UrgentPartitionsTest {
  private static byte[] key(int i) {
    return ("k" + i).getBytes(StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource({"1, 0", "2, 1", "4, 1", "7, 1", "8, 2", "12, 3"})
  void aQuarterOfThePartitionsIsReadFirst(int partitions, int first) {
    UrgentPartitions urgent = new UrgentPartitions(partitions);
    assertThat(IntStream.range(0, partitions).filter(urgent::holds).toArray())
        .containsExactly(IntStream.range(0, first).toArray());
  }

  @Test
  void urgentRecordsAndOthersFillPartitionsOfTheirOwn() {
    UrgentPartitions partitions = new UrgentPartitions(12);
    Set<Integer> urgent = new HashSet<>();
    Set<Integer> others = new HashSet<>();
    for (int i = 0; i < 1000; i++) {
      urgent.add(partitions.of(key(i), true));
      others.add(partitions.of(key(i), false));
      assertThat(partitions.of(key(i), false)).isEqualTo(partitions.of(key(i), false));
    }
    assertThat(urgent).containsExactlyInAnyOrder(0, 1, 2);
    assertThat(others).containsExactlyInAnyOrder(3, 4, 5, 6, 7, 8, 9, 10, 11);
  }

  @Test
  void aTopicOfOnePartitionHasOneQueue() {
    UrgentPartitions one = new UrgentPartitions(1);
    assertThat(one.holds(0)).isFalse();
    assertThat(one.of(key(1), true)).isZero();
    assertThat(one.of(key(1), false)).isZero();
    assertThatThrownBy(() -> new UrgentPartitions(0)).hasMessageContaining("0 partitions");
  }
}
