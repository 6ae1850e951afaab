package dev.whence.producer;

/**
 * Where a response came to lie, acknowledged by every in-sync replica.
 *
 * @param topic name of the topic
 * @param partition of the topic
 * @param offset in the partition
 */
public record Delivery(String topic, int partition, long offset) {}
