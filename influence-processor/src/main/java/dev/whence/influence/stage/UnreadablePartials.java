package dev.whence.influence.stage;

import dev.whence.runtime.dlq.DeadLetters;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.streams.errors.DeserializationExceptionHandler;
import org.apache.kafka.streams.errors.ErrorHandlerContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A record that can not be read goes to the dead letter queue of its topic, in the transaction that
 * commits its offset, and the merger goes on. A registry that does not answer ends the thread
 * instead, which is then replaced: nothing is given up for it.
 */
public final class UnreadablePartials implements DeserializationExceptionHandler {
  static final String QUEUE = "whence.dead.letter.topic";
  static final String QUEUE_BYTES = "whence.dead.letter.bytes";
  static final String METRICS = "whence.influence.metrics";
  private static final Logger LOG = LoggerFactory.getLogger(UnreadablePartials.class);

  private String queue = "";
  private int queueBytes = Integer.MAX_VALUE;
  private Optional<InfluenceMetrics> metrics = Optional.empty();

  /** Kafka Streams makes it and configures it. */
  public UnreadablePartials() {}

  @Override
  public void configure(Map<String, ?> configs) {
    queue = String.valueOf(configs.get(QUEUE));
    if (configs.get(QUEUE_BYTES) instanceof Integer given) {
      queueBytes = given;
    }
    if (configs.get(METRICS) instanceof InfluenceMetrics given) {
      metrics = Optional.of(given);
    }
  }

  @Override
  public Response handleError(
      ErrorHandlerContext context, ConsumerRecord<byte[], byte[]> record, Exception exception) {
    if (!(exception.getCause() instanceof UnreadableException why)) {
      return Response.fail();
    }
    LOG.warn(
        "{}-{}-{} went to {}: {}",
        record.topic(),
        record.partition(),
        record.offset(),
        queue,
        why.code());
    metrics.ifPresent(one -> one.ignored("unreadable"));
    return Response.resume(
        List.of(
            DeadLetters.of(
                queue,
                queueBytes,
                SourceRecord.of(record),
                new Failure(why.code(), why.sentence()),
                1,
                MergeProcessor.STAGE)));
  }
}
