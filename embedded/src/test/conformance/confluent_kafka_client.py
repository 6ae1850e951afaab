"""confluent-kafka (Python) against the embedded registry."""

import base64
import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

url, framed_by_java = sys.argv[1:]
client = SchemaRegistryClient({"url": url})
TOPIC, SUBJECT = "python", "python-value"
TEXT = {"name": "text", "type": "string"}


def record(*fields):
    return Schema(json.dumps({"type": "record", "name": "Answer", "namespace": "n", "fields": fields}), "AVRO")


def refused(code, call):
    try:
        call()
    except SchemaRegistryError as error:
        assert error.error_code == code, error
    else:
        raise AssertionError(f"expected error {code}")


value = SerializationContext(TOPIC, MessageField.VALUE)
deserialize = AvroDeserializer(client)
assert deserialize(base64.b64decode(framed_by_java), SerializationContext("java", MessageField.VALUE)) == {
    "text": "grüße",
    "nats": 1.5,
}

first = client.register_schema(SUBJECT, record(TEXT))
assert client.register_schema(SUBJECT, record(TEXT)) == first
client.set_compatibility(SUBJECT, "FULL_TRANSITIVE")
assert client.get_compatibility(SUBJECT) == "FULL_TRANSITIVE"
later = record(TEXT, {"name": "nats", "type": "double", "default": 0})
assert client.test_compatibility(SUBJECT, later)
second = client.register_schema(SUBJECT, later)
assert second != first
assert client.get_versions(SUBJECT) == [1, 2]
assert client.get_latest_version(SUBJECT).schema_id == second
assert client.get_version(SUBJECT, 1).schema_id == first
assert client.lookup_schema(SUBJECT, record(TEXT)).schema_id == first
assert SUBJECT in client.get_subjects()
assert json.loads(client.get_schema(second).schema_str)["name"] == "Answer"

framed = AvroSerializer(client, later.schema_str)({"text": "x", "nats": 2.0}, value)
assert int.from_bytes(framed[1:5], "big") == second
assert deserialize(framed, value) == {"text": "x", "nats": 2.0}

refused(409, lambda: client.register_schema(SUBJECT, record({"name": "text", "type": "int"})))
refused(40401, lambda: client.get_latest_version("nobody"))
refused(40403, lambda: client.get_schema(4711))
print("confluent-kafka (Python): ok")
