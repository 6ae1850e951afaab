package dev.whence.producer;

/**
 * What has become of the responses so far: {@code recorded = delivered + dropped + failed + those
 * still queued}.
 *
 * @param recorded responses handed to {@link Whence#record}
 * @param delivered responses acknowledged by Kafka
 * @param dropped responses that found the queue full
 * @param failed responses that were invalid, refused, or not delivered before close
 * @param queuedResponses responses on their way
 * @param queuedBytes estimate of the memory that they take, in bytes
 */
public record Counters(
    long recorded,
    long delivered,
    long dropped,
    long failed,
    long queuedResponses,
    long queuedBytes) {}
