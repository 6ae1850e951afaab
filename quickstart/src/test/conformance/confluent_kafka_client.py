"""confluent-kafka (Python): the calls it makes of the registry, then every topic."""

import json
import struct
import sys
import time
from datetime import datetime, timedelta, timezone

from confluent_kafka import Consumer, KafkaError
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

CLIENT = "confluent-kafka (Python)"
PATIENCE_SECONDS = 120
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Difference(Exception):
    """This client reads other than Java did."""


def registry_calls(client):
    topic, subject = "python", "python-value"
    text = {"name": "text", "type": "string"}

    def record(*fields):
        return Schema(json.dumps({"type": "record", "name": "Answer", "namespace": "n", "fields": fields}), "AVRO")

    def refused(code, call):
        try:
            call()
        except SchemaRegistryError as error:
            assert error.error_code == code, error
        else:
            raise AssertionError(f"expected error {code}")

    first = client.register_schema(subject, record(text))
    assert client.register_schema(subject, record(text)) == first
    client.set_compatibility(subject, "FULL_TRANSITIVE")
    assert client.get_compatibility(subject) == "FULL_TRANSITIVE"
    later = record(text, {"name": "nats", "type": "double", "default": 0})
    assert client.test_compatibility(subject, later)
    second = client.register_schema(subject, later)
    assert second != first
    assert client.get_versions(subject) == [1, 2]
    assert client.get_latest_version(subject).schema_id == second
    assert client.get_version(subject, 1).schema_id == first
    assert client.lookup_schema(subject, record(text)).schema_id == first
    assert subject in client.get_subjects()
    assert json.loads(client.get_schema(second).schema_str)["name"] == "Answer"

    value = SerializationContext(topic, MessageField.VALUE)
    framed = AvroSerializer(client, later.schema_str)({"text": "x", "nats": 2.0}, value)
    assert int.from_bytes(framed[1:5], "big") == second
    assert AvroDeserializer(client)(framed, value) == {"text": "x", "nats": 2.0}

    refused(409, lambda: client.register_schema(subject, record({"name": "text", "type": "int"})))
    refused(40401, lambda: client.get_latest_version("nobody"))
    refused(40403, lambda: client.get_schema(4711))


def canonical(schema, value, names, path):
    """A decoded value in a form that loses nothing, as CanonicalValues.java makes it."""

    def check(condition, expected):
        if not condition:
            raise Difference(f"{path} is {expected}, and the client gives {type(value).__name__}")

    if isinstance(schema, list):  # contracts have unions of null and one type only
        return None if value is None else canonical(next(t for t in schema if t != "null"), value, names, path)
    kind = schema if isinstance(schema, str) else schema["type"]
    if isinstance(kind, str) and kind in names:
        return canonical(names[kind], value, names, path)
    if not isinstance(kind, str):
        return canonical(kind, value, names, path)
    if kind == "record":
        names[schema["name"]] = schema
        fields = [field["name"] for field in schema["fields"]]
        check(isinstance(value, dict) and sorted(value) == sorted(fields), f"a record of {fields}")
        return {
            field["name"]: canonical(field["type"], value[field["name"]], names, f"{path}.{field['name']}")
            for field in schema["fields"]
        }
    if kind == "enum":
        names[schema["name"]] = schema
        check(value in schema["symbols"], f"one of {schema['symbols']}")
        return value
    if kind == "array":
        check(isinstance(value, list), "an array")
        return [canonical(schema["items"], entry, names, f"{path}[{i}]") for i, entry in enumerate(value)]
    if kind == "map":
        check(isinstance(value, dict), "a map")
        return {name: canonical(schema["values"], entry, names, f"{path}[...]") for name, entry in value.items()}
    if kind == "string":
        check(isinstance(value, str), "a string")
        return value
    if kind == "boolean":
        check(isinstance(value, bool), "a boolean")
        return value
    if kind == "bytes":
        check(isinstance(value, bytes), "bytes")
        return value.hex()
    if kind == "long" and isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis":
        check(isinstance(value, datetime), "a timestamp")
        return str((value - EPOCH) // timedelta(milliseconds=1))
    if kind in ("int", "long"):
        check(isinstance(value, int) and not isinstance(value, bool), "an integer")
        return value if kind == "int" else str(value)
    if kind in ("float", "double"):
        check(isinstance(value, float), "a float")
        return struct.pack(">f" if kind == "float" else ">d", value).hex()
    raise Difference(f"{path} is of type {kind}, which no contract has")


def difference(java, here, path):
    """Where two values differ first; nothing where they do not."""
    if isinstance(java, dict) and isinstance(here, dict):
        names = list(java) + [name for name in here if name not in java]
        pairs = ((f"{path}.{name}", java.get(name), here.get(name)) for name in names)
    elif isinstance(java, list) and isinstance(here, list) and len(java) == len(here):
        pairs = ((f"{path}[{i}]", *both) for i, both in enumerate(zip(java, here)))
    else:
        same = type(java) is type(here) and java == here
        return "" if same else f"{path}: Java reads {json.dumps(java)[:60]}, this client {json.dumps(here)[:60]}"
    return next(filter(None, (difference(a, b, at) for at, a, b in pairs)), "")


def compare_topics(bootstrap, client, expected):
    with open(expected, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    waiting = {(record["topic"], record["partition"], record["offset"]): record for record in records}
    topics = sorted({record["topic"] for record in records})
    deserialize = AvroDeserializer(client)
    schemas = {}

    def check(message):
        place = (message.topic(), message.partition(), message.offset())
        at = f"offset {place[2]} of partition {place[1]} of {place[0]}"
        java = waiting.pop(place, None)
        if java is None:
            raise Difference(f"{at}: Java sees no record there, or this client gave it twice")
        headers = [[name, value.decode()] for name, value in message.headers() or []]
        found = {"key": message.key().decode(), "headers": headers}
        wrong = difference({"key": java["key"], "headers": java["headers"]}, found, at)
        if wrong:
            raise Difference(wrong)
        if java["value"] is None or message.value() is None:
            if java["value"] is not None or message.value() is not None:
                raise Difference(f"{at}: only one of Java and this client sees a tombstone")
            return
        schema_id = int.from_bytes(message.value()[1:5], "big")
        if message.value()[0] != 0 or schema_id != java["schemaId"]:
            raise Difference(f"{at}: Java sees schema {java['schemaId']}, this client {schema_id}")
        if schema_id not in schemas:
            schemas[schema_id] = json.loads(client.get_schema(schema_id).schema_str)
        try:
            value = deserialize(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
        except Exception as error:
            raise Difference(f"{at}: the client can not decode it: {error!r}") from error
        other = difference(java["value"], canonical(schemas[schema_id], value, {}, "value"), f"{at}, value")
        if other:
            raise Difference(other)

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "conformance-python",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        metadata = consumer.list_topics(timeout=30).topics
        unread = {(topic, partition) for topic in topics for partition in metadata[topic].partitions}
        consumer.subscribe(topics)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unread:
            if time.monotonic() > deadline:
                raise Difference(
                    f"the end of {len(unread)} partitions was not reached in {PATIENCE_SECONDS} s, {min(unread)} is one"
                )
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is None:
                check(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unread.discard((message.topic(), message.partition()))
            else:
                raise Difference(f"the consumer fails: {message.error()}")
    finally:
        consumer.close()
    if waiting:
        raise Difference(f"{len(waiting)} of {len(records)} records did not come, the first of them at {min(waiting)}")
    print(f"{CLIENT}: {len(records)} records of {len(topics)} topics read as Java reads them")


def main():
    bootstrap, url, expected = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    registry_calls(client)
    try:
        compare_topics(bootstrap, client, expected)
    except Difference as found:
        sys.exit(f"{CLIENT}: {found}")


main()
