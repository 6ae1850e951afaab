package dev.whence.runtime.config;

/** How the members of a consumer group agree on who reads what. */
public enum GroupProtocol {
  /** The broker assigns (KIP-848). */
  CONSUMER,
  /** One member assigns, cooperatively and stickily: for brokers without the new protocol. */
  CLASSIC
}
