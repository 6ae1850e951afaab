package dev.whence.producer;

/**
 * Where responses are sent to.
 *
 * @param clusterId as the brokers name their cluster
 * @param topic full name
 */
public record Destination(String clusterId, String topic) {}
