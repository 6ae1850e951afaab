"""A producer that is not Java: writes one LlmResponse by the registered schema, and waits for its FINAL attribution.

Ends when that, and the FINAL attributions of as many other responses as asked for, have come.
"""

import sys
import time
from datetime import datetime, timezone

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

PATIENCE_SECONDS = 600
RESPONSES, ATTRIBUTIONS = "whence.responses", "whence.attributions"
ID, TRACEPARENT = "python-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# Fields that are left out have the contract's defaults.
RESPONSE = {
    "responseId": ID,
    "model": "acme/chat-1",
    "occurredAt": datetime.now(timezone.utc),
    "messages": [
        {
            "role": "user",
            "parts": [
                {
                    "id": "doc-7",
                    "kind": "RETRIEVED",
                    "trust": "UNTRUSTED",
                    "title": "Leland",
                    "text": "Leland was born in Ohio. He grew apples in Köln. 😀 He sold them in June. ",
                    "attributable": True,
                },
                {"id": "q", "kind": "QUESTION", "trust": "USER_SUPPLIED", "text": "Where was Leland born?"},
            ],
        }
    ],
    "response": "In Ohio.",
    "finishReason": "stop",
    "conversationId": "c-1",
    "subjectId": "s-1",
    "traceparent": TRACEPARENT,
    "attributes": {"app": "conformance"},
}
HEADERS = {
    "content-type": "application/avro",
    "ce_specversion": "1.0",
    "ce_type": "dev.whence.LlmResponse.v1",
    "ce_source": "/conformance/python",
    "ce_id": f"{ID}/0",
    "traceparent": TRACEPARENT,
}


def require(condition, sentence):
    if not condition:
        sys.exit(f"write_response.py: {sentence}")


def write(bootstrap, registry):
    schema = registry.get_latest_version(f"{RESPONSES}-value").schema
    serialize = AvroSerializer(registry, schema, conf={"auto.register.schemas": False})
    failures = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "log_level": 3,  # errors: that a new broker's coordinator is still loading is none
        }
    )
    producer.produce(
        RESPONSES,
        key=ID,
        value=serialize(RESPONSE, SerializationContext(RESPONSES, MessageField.VALUE)),
        headers=HEADERS,
        on_delivery=lambda error, message: failures.append(error) if error else None,
    )
    require(producer.flush(60) == 0 and not failures, f"the response could not be written: {failures}")


def finals(bootstrap, registry, others):
    """Waits for FINAL attributions, and gives that of this response with its headers."""
    deserialize = AvroDeserializer(registry)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "conformance-writer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([ATTRIBUTIONS])
    found = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while ID not in found or len(found) <= others:
        require(
            time.monotonic() < deadline,
            f"{len(found)} FINAL attributions in {PATIENCE_SECONDS} s, "
            f"that of {ID} {'is' if ID in found else 'is not'} among them",
        )
        message = consumer.poll(1.0)
        if message is None:
            continue
        require(message.error() is None, f"the consumer fails: {message.error()}")
        value = deserialize(message.value(), SerializationContext(ATTRIBUTIONS, MessageField.VALUE))
        if value["phase"] == "FINAL":
            require(value["responseId"] not in found, f"two FINAL attributions of {value['responseId']}")
            found[value["responseId"]] = (value, {name: text.decode() for name, text in message.headers()})
    consumer.close()
    return found[ID]


def main():
    bootstrap, url, others = sys.argv[1:]
    registry = SchemaRegistryClient({"url": url})
    write(bootstrap, registry)
    value, headers = finals(bootstrap, registry, int(others))

    require(value["status"] == "SCORED", f"its status is {value['status']}, {value['reasonCode']}: {value['reason']}")
    # Three sentences; the emoji before the third takes two UTF-16 code units.
    text = RESPONSE["messages"][0]["parts"][0]["text"]
    units = len(text.encode("utf-16-le")) // 2
    sources = value["sources"]
    require(len(sources) >= 3, f"it has {len(sources)} sources, of three sentences or more")
    require(all(source["segment"] == "doc-7" for source in sources), "a source is of another segment than doc-7")
    require(
        all(0 <= source["start"] < source["end"] <= units for source in sources),
        "a source lies outside of the document's text",
    )
    for field in ("model", "conversationId", "subjectId", "traceparent"):
        require(value[field] == RESPONSE[field], f"its {field} is not the response's")
    milliseconds = RESPONSE["occurredAt"].replace(microsecond=RESPONSE["occurredAt"].microsecond // 1000 * 1000)
    require(value["occurredAt"] == milliseconds, "its occurredAt is not the response's to the millisecond")
    require(headers.get("traceparent") == TRACEPARENT, "its header traceparent is not the response's")
    require(headers.get("ce_type") == "dev.whence.Attribution.v1", "its header ce_type is not dev.whence.Attribution.v1")
    require(value["scorer"]["surrogate"], "its scorer does not say that it is a surrogate of the response's model")
    print(
        f"a response written in Python: FINAL, {value['status']} by {value['scorer']['model']}, "
        f"{len(sources)} sources, groundedness {value['groundedness']:.2f} nats"
    )


main()
