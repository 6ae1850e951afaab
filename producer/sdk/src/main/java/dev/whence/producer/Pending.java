package dev.whence.producer;

import dev.whence.schemas.avro.LlmResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A response on its way.
 *
 * @param response what to send
 * @param bytes estimate of the memory that it takes
 * @param delivery what the caller holds
 * @param finished whether it is delivered or given up; its room in the queue is given back once
 * @param place in the order of what the queue accepted; set by the queue
 */
record Pending(
    LlmResponse response,
    long bytes,
    CompletableFuture<Delivery> delivery,
    AtomicBoolean finished,
    AtomicLong place) {

  Pending(LlmResponse response, long bytes) {
    this(response, bytes, new CompletableFuture<>(), new AtomicBoolean(), new AtomicLong());
  }
}
