package dev.whence.influence.stage;

import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.streams.errors.DeserializationExceptionHandler;
import org.apache.kafka.streams.errors.ErrorHandlerContext;
import org.jspecify.annotations.Nullable;
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

  /** Headers of a batch and a record, in bytes, generously. */
  private static final int FRAME = 256;

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
    List<EventHeader> before = new ArrayList<>();
    for (Header header : record.headers()) {
      before.add(
          new EventHeader(header.key(), header.value() == null ? new byte[0] : header.value()));
    }
    SourceRecord source =
        new SourceRecord(
            record.topic(),
            record.partition(),
            record.offset(),
            record.timestamp(),
            record.key(),
            record.value(),
            before);
    return Response.resume(
        List.of(
            dead(
                record.key(),
                record.value(),
                DeadLetterHeaders.of(
                    source, new Failure(why.code(), why.sentence()), 1, MergeProcessor.STAGE))));
  }

  /**
   * What fits into the queue however badly it compresses: without the value if that is too large,
   * and with nothing but what says where the record is if its key and headers are.
   */
  private ProducerRecord<byte[], byte[]> dead(
      byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> given) {
    List<EventHeader> headers = new ArrayList<>(given);
    byte[] kept = value;
    if (size(key, kept, headers) > queueBytes) {
      headers.add(
          EventHeader.of(
              DeadLetterHeaders.OMITTED_BYTES, Integer.toString(kept == null ? 0 : kept.length)));
      kept = null;
    }
    byte[] keptKey = key;
    if (size(keptKey, kept, headers) > queueBytes) {
      keptKey = null;
      headers.removeIf(header -> !header.name().startsWith(DeadLetterHeaders.PREFIX));
    }
    ProducerRecord<byte[], byte[]> dead = new ProducerRecord<>(queue, keptKey, kept);
    for (EventHeader header : headers) {
      dead.headers().add(new RecordHeader(header.name(), header.value()));
    }
    return dead;
  }

  private static long size(
      byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    long size = FRAME + (key == null ? 0L : key.length) + (value == null ? 0L : value.length);
    for (EventHeader header : headers) {
      size += 16 + 3L * header.name().length() + header.value().length;
    }
    // Compression makes random bytes longer by less than one in 256.
    return size + size / 256;
  }
}
