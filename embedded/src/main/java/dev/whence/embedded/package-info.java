/**
 * What a Kafka system needs around it, inside this JVM and on 127.0.0.1 only: {@link
 * dev.whence.embedded.EmbeddedBroker}, one real Kafka node, and {@link
 * dev.whence.embedded.EmbeddedRegistry}, the part of a schema registry that Avro clients call. Both
 * keep their data in a {@link dev.whence.embedded.DataDirectory} and come back with it.
 */
package dev.whence.embedded;
