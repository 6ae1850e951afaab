package dev.whence.runtime.kafka;

import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.ClientResponse;
import org.apache.kafka.clients.ClientUtils;
import org.apache.kafka.clients.DefaultHostResolver;
import org.apache.kafka.clients.ManualMetadataUpdater;
import org.apache.kafka.clients.NetworkClient;
import org.apache.kafka.clients.NetworkClientUtils;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;

/**
 * Fetches record batches as they stand in the log, one at a time, committed ones only, and without
 * unpacking them. {@code KafkaConsumer} can not do that: it allocates each record of a batch as
 * large as the record says it is, also the records before the position that it skips, so a batch
 * with a record that the heap does not hold can be read neither up to that record's end nor behind
 * it. This speaks the protocol's Fetch by the classes of kafka-clients that its own tools use; they
 * are no public API, so a new version of Kafka is to be compiled and tested against.
 *
 * <p>Not thread-safe. Connects at the first fetch.
 */
public final class RawBatches implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(15);

  /** The broker returns the first batch however large it is, and then no more than this. */
  private static final int ONE_BATCH = 1;

  private final Admin admin;
  private final ConsumerConfig config;
  private final String clientId;
  private final ManualMetadataUpdater nodes = new ManualMetadataUpdater();
  private final Time time = Time.SYSTEM;
  private Optional<Connected> connected = Optional.empty();

  private record Connected(Metrics metrics, NetworkClient client) {}

  /** What stands at an offset. */
  public sealed interface Fetched {
    /** A batch of records that are to be read. */
    record Batch(DefaultRecordBatch records) implements Fetched {}

    /** Nothing for readers of committed records: a marker, or a transaction that was aborted. */
    record Nothing(long nextOffset) implements Fetched {}

    /** No committed record is there yet. */
    record End() implements Fetched {}

    /** The log does not hold the offset (any more). */
    record OutOfRange() implements Fetched {}
  }

  RawBatches(Admin admin, ConsumerConfig config, String clientId) {
    this.admin = admin;
    this.config = config;
    this.clientId = clientId;
  }

  /**
   * The batch that holds an offset, or the next one after it.
   *
   * @throws EnvironmentException if it can not be fetched now
   */
  public Fetched at(TopicPartition partition, long offset) {
    TopicDescription topic = describe(partition);
    Node leader = leader(topic, partition);
    NetworkClient client = client();
    nodes.setNodes(List.of(leader));
    FetchRequest.Builder request =
        FetchRequest.Builder.forConsumer(
                ApiKeys.FETCH.latestVersion(),
                /* maxWait= */ 0,
                /* minBytes= */ 1,
                Map.of(
                    partition,
                    new FetchRequest.PartitionData(
                        topic.topicId(),
                        offset,
                        FetchRequest.INVALID_LOG_START_OFFSET,
                        ONE_BATCH,
                        Optional.empty())))
            .isolationLevel(IsolationLevel.READ_COMMITTED)
            .setMaxBytes(ONE_BATCH);
    try {
      if (!NetworkClientUtils.awaitReady(client, leader, time, PATIENCE.toMillis())) {
        throw new EnvironmentException(
            "the leader of " + partition + " did not answer within " + PATIENCE.toSeconds() + " s");
      }
      ClientResponse response =
          NetworkClientUtils.sendAndReceive(
              client,
              client.newClientRequest(
                  leader.idString(),
                  request,
                  time.milliseconds(),
                  /* expectResponse= */ true,
                  (int) PATIENCE.toMillis(),
                  /* callback= */ null),
              time);
      FetchResponse fetched = (FetchResponse) response.responseBody();
      check(fetched.error(), partition, offset);
      FetchResponseData.PartitionData data =
          fetched
              .responseData(
                  Map.of(topic.topicId(), partition.topic()), response.requestHeader().apiVersion())
              .get(partition);
      if (data == null) {
        throw new EnvironmentException("the leader says nothing about " + partition);
      }
      Errors error = Errors.forCode(data.errorCode());
      if (error == Errors.OFFSET_OUT_OF_RANGE) {
        return new Fetched.OutOfRange();
      }
      check(error, partition, offset);
      return first(data, partition);
    } catch (IOException | KafkaException e) {
      close(); // the next fetch begins with a new connection
      throw new EnvironmentException(
          partition + " can not be fetched from offset " + offset + ": " + e.getClass().getName(),
          e);
    }
  }

  private static void check(Errors error, TopicPartition partition, long offset) {
    if (error != Errors.NONE) {
      throw new EnvironmentException(
          partition + " can not be fetched from offset " + offset + ": " + error.name());
    }
  }

  private static Fetched first(FetchResponseData.PartitionData data, TopicPartition partition) {
    Iterator<? extends RecordBatch> batches =
        FetchResponse.recordsOrFail(data).batches().iterator();
    if (!batches.hasNext()) {
      return new Fetched.End();
    }
    RecordBatch batch = batches.next();
    if (!(batch instanceof DefaultRecordBatch records)) {
      throw new EnvironmentException(
          partition
              + " has records in the message format "
              + batch.magic()
              + " at offset "
              + batch.baseOffset()
              + ", which this reads only as a whole: give the JVM more memory (-Xmx)");
    }
    records.ensureValid();
    return records.isControlBatch() || aborted(data, records)
        ? new Fetched.Nothing(records.nextOffset())
        : new Fetched.Batch(records);
  }

  /**
   * The broker names the aborted transactions that reach into what it returns. A transaction ends
   * by a marker of its own, so one of this producer that began before the batch's end holds it.
   */
  private static boolean aborted(FetchResponseData.PartitionData data, DefaultRecordBatch records) {
    return records.isTransactional()
        && data.abortedTransactions() != null
        && data.abortedTransactions().stream()
            .anyMatch(
                transaction ->
                    transaction.producerId() == records.producerId()
                        && transaction.firstOffset() <= records.lastOffset());
  }

  private TopicDescription describe(TopicPartition partition) {
    try {
      TopicDescription topic =
          admin
              .describeTopics(List.of(partition.topic()))
              .allTopicNames()
              .get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)
              .get(partition.topic());
      if (topic != null) {
        return topic;
      }
      throw new EnvironmentException("the brokers say nothing about topic " + partition.topic());
    } catch (ExecutionException | TimeoutException e) {
      throw new EnvironmentException(
          "topic " + partition.topic() + " can not be looked up; are the brokers reachable?", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EnvironmentException("interrupted", e);
    }
  }

  private static Node leader(TopicDescription topic, TopicPartition partition) {
    return topic.partitions().stream()
        .filter(info -> info.partition() == partition.partition())
        .map(info -> Optional.ofNullable(info.leader()))
        .flatMap(Optional::stream)
        .filter(node -> !node.isEmpty())
        .findFirst()
        .orElseThrow(() -> new EnvironmentException(partition + " has no leader now"));
  }

  private NetworkClient client() {
    if (connected.isEmpty()) {
      Metrics metrics = new Metrics();
      connected =
          Optional.of(
              new Connected(
                  metrics,
                  ClientUtils.createNetworkClient(
                      config,
                      clientId,
                      metrics,
                      "raw-batches",
                      new LogContext("[" + clientId + "] "),
                      new ApiVersions(),
                      time,
                      /* maxInFlightRequestsPerConnection= */ 1,
                      (int) PATIENCE.toMillis(),
                      nodes,
                      new DefaultHostResolver())));
    }
    return connected.get().client();
  }

  /** Closes the connection; a later fetch opens one anew. */
  @Override
  public void close() {
    connected.ifPresent(
        one -> {
          one.client().close();
          one.metrics().close();
        });
    connected = Optional.empty();
  }
}
