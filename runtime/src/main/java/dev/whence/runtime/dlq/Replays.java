package dev.whence.runtime.dlq;

import dev.whence.runtime.worker.EventHeader;
import java.util.ArrayList;
import java.util.List;

/**
 * How often a record was replayed out of a dead letter queue, in a header of the record itself:
 * what is found out about it then is newer than what was said when it failed.
 */
public final class Replays {
  /** Absent: never. */
  public static final String HEADER = "whence.replays";

  /** Nobody replays a record more often; the header may have been written by anyone. */
  private static final int MOST = 1_000_000;

  private Replays() {}

  /** The number in the headers; 0 where there is none, or none that can be read. */
  public static int of(List<EventHeader> headers) {
    for (int i = headers.size() - 1; i >= 0; i--) {
      if (headers.get(i).name().equals(HEADER)) {
        String text = headers.get(i).text();
        return text.matches("[0-9]{1,7}") ? Math.min(MOST, Integer.parseInt(text)) : 0;
      }
    }
    return 0;
  }

  /** The headers with one more. */
  static List<EventHeader> oneMore(List<EventHeader> headers) {
    List<EventHeader> more = new ArrayList<>();
    for (EventHeader header : headers) {
      if (!header.name().equals(HEADER)) {
        more.add(header);
      }
    }
    more.add(EventHeader.of(HEADER, Integer.toString(Math.min(MOST, of(headers) + 1))));
    return more;
  }
}
