// @confluentinc/schemaregistry: the calls it makes of the registry, then every topic.
import assert from 'node:assert/strict'
import confluent from '@confluentinc/schemaregistry'
import avro from 'avsc'
import { bigIntegers, compareTopics, conform } from './topics.js'

const { AvroDeserializer, AvroSerializer, Compatibility, SchemaRegistryClient, SerdeType } = confluent
const CLIENT = '@confluentinc/schemaregistry'
const [bootstrap, url, expected] = process.argv.slice(2)
const client = new SchemaRegistryClient({ baseURLs: [url] })
const deserializer = new AvroDeserializer(client, SerdeType.VALUE, {})

async function registryCalls() {
  const topic = 'confluentinc'
  const subject = `${topic}-value`
  const record = (...fields) => ({
    schemaType: 'AVRO',
    schema: JSON.stringify({ type: 'record', name: 'Answer', namespace: 'n', fields }),
  })
  const text = { name: 'text', type: 'string' }
  const code = (number) => (error) => {
    assert.equal(error.errorCode, number)
    return true
  }

  const first = await client.register(subject, record(text))
  assert.equal(await client.register(subject, record(text)), first)
  await client.updateCompatibility(subject, Compatibility.FULL_TRANSITIVE)
  assert.equal(await client.getCompatibility(subject), 'FULL_TRANSITIVE')
  const later = record(text, { name: 'nats', type: 'double', default: 0 })
  assert.equal(await client.testSubjectCompatibility(subject, later), true)
  const second = await client.register(subject, later)
  assert.notEqual(first, second)
  assert.deepEqual(await client.getAllVersions(subject), [1, 2])
  assert.equal((await client.getLatestSchemaMetadata(subject)).version, 2)
  assert.equal((await client.getSchemaMetadata(subject, 1)).id, first)
  assert.equal(await client.getId(subject, record(text)), first)
  assert.equal(await client.getVersion(subject, record(text)), 1)
  assert.ok((await client.getAllSubjects()).includes(subject))

  const serializer = new AvroSerializer(client, SerdeType.VALUE, { useLatestVersion: true })
  const framed = await serializer.serialize(topic, { text: 'x', nats: 2 })
  assert.equal(framed.readInt32BE(1), second)
  assert.deepEqual({ ...(await deserializer.deserialize(topic, framed)) }, { text: 'x', nats: 2 })

  await assert.rejects(client.register(subject, record({ name: 'text', type: 'int' })), code(409))
  await assert.rejects(client.getLatestSchemaMetadata('nobody'), code(40401))
  await assert.rejects(client.getBySubjectAndId(subject, 4711), code(40403))
}

await conform(CLIENT, async () => {
  await registryCalls()
  const wide = new AvroDeserializer(client, SerdeType.VALUE, { typeHook: bigIntegers(avro) })
  return compareTopics(
    CLIENT,
    { bootstrap, registry: url, expected },
    (topic, bytes) => deserializer.deserialize(topic, bytes),
    (topic, bytes) => wide.deserialize(topic, bytes),
  )
})
