/**
 * What an application asked a model and what the model answered, as plain records: a {@link
 * dev.whence.conversation.Conversation} has {@link dev.whence.conversation.Message}s, a message has
 * {@link dev.whence.conversation.Part}s, and a part may name the {@link
 * dev.whence.conversation.Span}s that its caller wants attributed. {@link
 * dev.whence.conversation.ConversationCodec} reads and writes them as one JSON object per line.
 */
package dev.whence.conversation;
