package dev.whence.schemas;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.avro.Schema;

/**
 * The headers of a record: CloudEvents 1.0 in Kafka's binary mode, and W3C trace context. None of
 * them holds text of a prompt or a response.
 *
 * @param type {@code dev.whence.<record>.v1}
 * @param source {@code /whence/<stage>/<instance id>}
 * @param id {@code <responseId>/<revision>}; with {@code source} it is unique
 * @param traceparent W3C trace context, or empty
 */
public record EventHeaders(String type, String source, String id, String traceparent) {
  public static final String CONTENT_TYPE = "content-type";
  public static final String SPEC_VERSION = "ce_specversion";
  public static final String TYPE = "ce_type";
  public static final String SOURCE = "ce_source";
  public static final String ID = "ce_id";
  public static final String TRACEPARENT = "traceparent";

  private static final String AVRO = "application/avro";

  /** W3C Trace Context, section 3.2. Versions after 00 may append fields; ff is not a version. */
  private static final Pattern TRACE_CONTEXT =
      Pattern.compile(
          "(?!ff)(?<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
              + "(?<more>-[!-~]{0,200})?");

  public EventHeaders {
    if (!isTraceparent(traceparent)) {
      // As the specification says: a context that can not be read is as none.
      traceparent = "";
    }
  }

  /**
   * The headers of one event.
   *
   * @param value schema of the record's value
   * @param stage that writes it, for example {@code attribution-fast}
   * @param instanceId of the process that writes it
   * @param key of the record, usually the responseId
   * @param revision counts the events about the key that this stage may write, from 0
   * @param traceparent W3C trace context; left out if it is empty or not valid
   */
  public static EventHeaders of(
      Schema value, String stage, String instanceId, String key, int revision, String traceparent) {
    return new EventHeaders(
        "dev.whence." + value.getName() + ".v1",
        "/whence/" + uriPart(stage) + "/" + uriPart(instanceId),
        key + "/" + revision,
        traceparent);
  }

  /** Header to value, in UTF-8. */
  public Map<String, byte[]> toMap() {
    Map<String, byte[]> headers = new LinkedHashMap<>();
    put(headers, CONTENT_TYPE, AVRO);
    put(headers, SPEC_VERSION, "1.0");
    put(headers, TYPE, type);
    put(headers, SOURCE, source);
    put(headers, ID, id);
    if (!traceparent.isEmpty()) {
      put(headers, TRACEPARENT, traceparent);
    }
    return headers;
  }

  /** Whether a text is a trace context that may be carried on. */
  public static boolean isTraceparent(String text) {
    Matcher matcher = TRACE_CONTEXT.matcher(text);
    return matcher.matches()
        && (matcher.group("more") == null || !matcher.group("version").equals("00"));
  }

  private static void put(Map<String, byte[]> headers, String name, String value) {
    headers.put(name, value.getBytes(StandardCharsets.UTF_8));
  }

  private static String uriPart(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }
}
