package dev.whence.schemas;

import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Why a client could not be made of its settings. Kafka's own first message is only that it was
 * not; the wrong setting is named by the causes.
 */
public final class ClientTrouble {
  /** In messages about a JAAS line: what stands between quotes may be part of a password. */
  private static final Pattern QUOTED = Pattern.compile("'[^']*'|\"[^\"]*\"");

  private static final int LONGEST = 1_000;
  private static final int DEEPEST = 10;

  private ClientTrouble() {}

  /** The messages of a problem and its causes, from the outermost, each of them once. */
  public static String messages(Throwable problem) {
    Set<String> all = new LinkedHashSet<>();
    Throwable cause = problem;
    for (int depth = 0; cause != null && depth < DEEPEST; depth++, cause = cause.getCause()) {
      String message = cause.getMessage();
      if (message != null && !message.isBlank()) {
        all.add(message.contains("JAAS") ? QUOTED.matcher(message).replaceAll("'...'") : message);
      } else {
        all.add(cause.getClass().getSimpleName());
      }
    }
    String text = String.join(": ", all);
    return text.length() <= LONGEST ? text : text.substring(0, LONGEST) + "...";
  }
}
