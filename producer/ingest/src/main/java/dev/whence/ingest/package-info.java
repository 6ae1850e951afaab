/**
 * Responses from files onto Kafka. {@link dev.whence.ingest.Replay} reads JSON Lines with a {@code
 * LineReader}, makes records with {@link dev.whence.conversation.ConversationCodec} and hands them
 * to {@link dev.whence.producer.Whence}; {@code Acknowledgements} knows up to which line all is
 * settled, and {@link dev.whence.ingest.ReplayMark} keeps that beside the input for the next run.
 */
package dev.whence.ingest;
