package dev.whence.runtime.topics;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class DurabilityTest {
  @Test
  void ofThreeReplicasTwoMustBeInSyncAndMoreIsNeverLowered() {
    assertThat(Durability.isTooLow(3, "1")).isTrue();
    assertThat(Durability.isTooLow(3, "2")).isFalse();
    assertThat(Durability.isTooLow(3, "3")).isFalse();
    assertThat(Durability.isTooLow(3, "")).isFalse();
  }

  @Test
  void withFewerReplicasTwoInSyncWouldStopAllWritingWhenOneBrokerIsAway() {
    assertThat(Durability.isTooLow(1, "1")).isFalse();
    assertThat(Durability.isTooLow(2, "1")).isFalse();
  }

  @Test
  void oneReplicaIsWorthAWarningWhereThereAreMoreBrokers() {
    assertThat(Durability.warning(1, 3))
        .startsWith("1 replica of each partition though there are 3");
    assertThat(Durability.warning(1, 1)).isEmpty();
    assertThat(Durability.warning(2, 3)).isEmpty();
  }
}
