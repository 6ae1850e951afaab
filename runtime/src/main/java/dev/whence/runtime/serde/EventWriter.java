package dev.whence.runtime.serde;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.EventHeaders;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificRecord;

/** Serialises events of one stage, with their headers. */
public final class EventWriter {
  private final AvroValues values;
  private final String stage;
  private final String instanceId;

  /**
   * A writer.
   *
   * @param values stays the caller's to close
   * @param stage name in headers, for example {@code attribution-fast}
   */
  public EventWriter(AvroValues values, String stage, String instanceId) {
    this.values = values;
    this.stage = stage;
    this.instanceId = instanceId;
  }

  /**
   * A record to write.
   *
   * @param key of the record, usually the responseId
   * @param revision of the event
   * @param traceparent trace context, or empty
   * @param shrink what to write instead if it is too large
   */
  public Result write(
      String topic,
      String key,
      SpecificRecord event,
      int revision,
      String traceparent,
      Result.Shrink shrink) {
    List<EventHeader> headers = new ArrayList<>();
    EventHeaders.of(event.getSchema(), stage, instanceId, key, revision, traceparent)
        .toMap()
        .forEach((name, value) -> headers.add(new EventHeader(name, value)));
    return new Result(
        topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, event), headers, shrink);
  }
}
