/**
 * Which spans of a prompt drove a response. {@link dev.whence.attribution.Attributor} is the door:
 * a conversation goes in, an {@link dev.whence.attribution.AttributionResult} comes out.
 *
 * <p>The way of the data: {@code source} finds the attributable context and cuts it into sources,
 * {@code tokens} turns prompt and response into tokens from which spans can be cut, {@code method}
 * chooses the branches and makes scores of their log-likelihoods. {@code stage} connects the
 * attributor to Kafka; nothing else here knows of it.
 */
package dev.whence.attribution;
