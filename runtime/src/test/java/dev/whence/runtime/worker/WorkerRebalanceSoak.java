package dev.whence.runtime.worker;

import dev.whence.runtime.config.GroupProtocol;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * 1,000 records while members and the broker come and go; its reduced twin is {@link
 * WorkerRebalanceIT}.
 */
class WorkerRebalanceSoak {
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void membersThatJoinAndLeaveInMidBatchLoseAndDoubleNothing(GroupProtocol protocol)
      throws Exception {
    RebalanceScenarios.joinsAndLeavesInMidBatch(protocol, 1_000);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aPartitionThatGoesAndComesBackWithinOneBatchIsDoneByTheOther(GroupProtocol protocol)
      throws Exception {
    RebalanceScenarios.partitionGoesAndComesBackWithinOneBatch(protocol, 1_000);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aBrokerThatRestartsLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    WorkerRebalanceIT.brokerRestarts(protocol, 1_000);
  }
}
