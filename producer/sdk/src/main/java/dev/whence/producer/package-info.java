/**
 * The SDK that an application uses to say what its models answered. {@link
 * dev.whence.producer.Whence} takes responses without ever blocking or throwing, {@link
 * dev.whence.producer.LlmResponseBuilder} makes one from messages and documents. Inside, a response
 * goes from the caller into a {@code SendQueue} that is bounded in bytes, and from there by the
 * thread of {@code Sender} through Confluent's serializer to Kafka.
 */
package dev.whence.producer;
