package dev.whence.influence.stage;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Answers that other records of their queries may ask for until the query's deadline; of more than
 * are to be kept, the newest. Not thread-safe.
 */
final class KeptAnswers {
  private static final int MOST_ANSWERS = 256;

  /** Some 700 bytes each. */
  private static final int MOST_DOCUMENTS = 200_000;

  private record Kept(Answered answer, Instant deadline) {}

  /** By what is asked; the one that was kept first comes first. */
  private final Map<String, Kept> kept = new LinkedHashMap<>();

  private final int mostAnswers;
  private final int mostDocuments;

  KeptAnswers() {
    this(MOST_ANSWERS, MOST_DOCUMENTS);
  }

  KeptAnswers(int mostAnswers, int mostDocuments) {
    this.mostAnswers = mostAnswers;
    this.mostDocuments = mostDocuments;
  }

  @Nullable Answered get(String ask) {
    Kept one = kept.get(ask);
    return one == null ? null : one.answer();
  }

  /** Keeps an answer, with what was kept of the same query before; at least this one stays. */
  void add(String ask, Answered answer, Instant deadline) {
    Kept before = kept.remove(ask);
    kept.put(ask, new Kept(before == null ? answer : before.answer().plus(answer), deadline));
    long documents = kept.values().stream().mapToLong(one -> one.answer().documents.size()).sum();
    var oldest = kept.values().iterator();
    while (kept.size() > 1 && (kept.size() > mostAnswers || documents > mostDocuments)) {
      documents -= oldest.next().answer().documents.size();
      oldest.remove();
    }
  }

  /** Forgets what nobody waits for any more. */
  void forgetUntil(Instant now) {
    kept.values().removeIf(one -> one.deadline().isBefore(now));
  }
}
