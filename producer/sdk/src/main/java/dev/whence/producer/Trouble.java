package dev.whence.producer;

import dev.whence.schemas.ClientTrouble;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.KafkaException;

/**
 * What keeps responses waiting, in words for the log. Messages of serializers may quote what they
 * could not write and are left out; those of a client that could not be made speak of settings
 * only, and without them nobody finds the wrong one.
 */
final class Trouble {
  /** Confluent's client puts it at the end of its messages; its class is not on our class path. */
  private static final Pattern ERROR_CODE = Pattern.compile("error code: ([0-9]{3,5})\\s*$");

  private static final int DEEPEST = 10;

  /** Kafka's client could not be made of its settings. */
  static final class NoClient extends KafkaException {
    private static final long serialVersionUID = 1L;

    NoClient(Throwable cause) {
      super(cause);
    }
  }

  private Trouble() {}

  static String of(Throwable problem) {
    if (problem instanceof NoClient && problem.getCause() != null) {
      return "Kafka's client can not be made of its settings: "
          + ClientTrouble.messages(problem.getCause());
    }
    Throwable cause = problem;
    for (int depth = 0; cause != null && depth < DEEPEST; depth++, cause = cause.getCause()) {
      if (cause.getClass().getSimpleName().equals("RestClientException")) {
        return registry(cause);
      }
    }
    return problem.getClass().getSimpleName()
        + (problem.getCause() == null
            ? ""
            : " after " + problem.getCause().getClass().getSimpleName());
  }

  private static String registry(Throwable answer) {
    Matcher code = ERROR_CODE.matcher(String.valueOf(answer.getMessage()));
    if (!code.find()) {
      return "the schema registry refuses (RestClientException)";
    }
    String status = code.group(1).substring(0, 3);
    String hint =
        switch (status) {
          case "404" -> "; register the schemas with whence topics --create";
          case "401", "403" -> "; check the credentials in the registry settings";
          default -> "";
        };
    return "the schema registry answers " + status + " (error code " + code.group(1) + ")" + hint;
  }
}
