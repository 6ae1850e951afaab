package dev.whence.attribution.stage;

import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.EventHeaders;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificRecord;

/** Serialises events of one stage, with their headers. */
final class EventWriter {
  private final AvroValues values;
  private final Role role;
  private final String instanceId;

  EventWriter(AvroValues values, Role role, String instanceId) {
    this.values = values;
    this.role = role;
    this.instanceId = instanceId;
  }

  /**
   * A record to write.
   *
   * @param key responseId
   * @param revision of the event
   * @param traceparent trace context, or empty
   * @param shrink what to write instead if it is too large
   */
  Result write(
      String topic,
      String key,
      SpecificRecord event,
      int revision,
      String traceparent,
      Result.Shrink shrink) {
    List<EventHeader> headers = new ArrayList<>();
    EventHeaders.of(event.getSchema(), role.stage(), instanceId, key, revision, traceparent)
        .toMap()
        .forEach((name, value) -> headers.add(new EventHeader(name, value)));
    return new Result(
        topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, event), headers, shrink);
  }
}
