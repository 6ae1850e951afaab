package dev.whence.producer;

import dev.whence.schemas.avro.LlmResponse;
import java.util.concurrent.CompletableFuture;

/**
 * A response on its way.
 *
 * @param response what to send
 * @param bytes estimate of the memory that it takes
 * @param delivery what the caller holds
 */
record Pending(LlmResponse response, long bytes, CompletableFuture<Delivery> delivery) {}
