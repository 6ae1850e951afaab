/**
 * Influence as a stream: {@link dev.whence.influence.stage.QueryStage} makes queries of responses,
 * {@link dev.whence.influence.stage.ShardStage} answers them from the shards that a process has,
 * {@link dev.whence.influence.stage.MergeTopology} puts the answers together; {@link
 * dev.whence.influence.stage.InfluenceProcessor} wires them. It knows Kafka and no maths.
 */
package dev.whence.influence.stage;
