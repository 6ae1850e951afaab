package dev.whence.runtime.health;

import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Whether the process is alive and ready. Ready means that every part that said something says
 * ready. Thread-safe.
 */
public final class Health {
  private final Map<String, String> notReady = new TreeMap<>();
  private final Optional<Health> whole;
  private final String name;
  private String dead = "";

  /** A process's. */
  public Health() {
    this.whole = Optional.empty();
    this.name = "";
  }

  private Health(Health whole, String name) {
    this.whole = Optional.of(whole);
    this.name = name;
  }

  /** Of a part that has parts of its own: what is said to it is said to the whole, too. */
  public Health within(String partName) {
    return new Health(this, partName + " ");
  }

  /** A part can do its work. */
  public synchronized void ready(String part) {
    notReady.remove(part);
    whole.ifPresent(one -> one.ready(name + part));
  }

  /** A part can not do its work for now; the reason is one sentence. */
  public synchronized void notReady(String part, String reason) {
    notReady.put(part, reason);
    whole.ifPresent(one -> one.notReady(name + part, reason));
  }

  /** Only a new process helps. */
  public synchronized void dead(String reason) {
    dead = reason;
    whole.ifPresent(one -> one.dead(reason));
  }

  public synchronized boolean isReady() {
    return dead.isEmpty() && notReady.isEmpty();
  }

  public synchronized boolean isAlive() {
    return dead.isEmpty();
  }

  /** Why the process is dead. */
  public synchronized Optional<String> deathReason() {
    return dead.isEmpty() ? Optional.empty() : Optional.of(dead);
  }

  /** What is not ready, by part. */
  public synchronized Map<String, String> reasons() {
    return new TreeMap<>(notReady);
  }
}
