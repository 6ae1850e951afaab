package dev.whence.attribution.stage;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.dlq.Replays;
import dev.whence.runtime.worker.SourceRecord;
import java.util.Optional;

/**
 * What of a record goes into the events about it.
 *
 * @param traceparent trace context, or empty
 * @param revision of the events: each replay out of the dead letter queue may bring other results,
 *     which count instead of the earlier ones
 */
record Cause(String traceparent, int revision) {
  /** Revisions of one reading of a record: one for each role that may write an event about it. */
  private static final int ROLES = 2;

  static Cause of(SourceRecord record, Optional<Conversation> conversation) {
    return new Cause(
        record.traceparentOr(conversation.map(Conversation::traceparent).orElse("")),
        Math.multiplyExact(ROLES, Replays.of(record.headers())));
  }
}
