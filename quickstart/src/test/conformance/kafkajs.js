// @kafkajs/confluent-schema-registry: the calls it makes of the registry, then every topic.
import assert from 'node:assert/strict'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import avro from 'avsc'
import { bigIntegers, compareTopics, conform } from './topics.js'

const CLIENT = '@kafkajs/confluent-schema-registry'
const [bootstrap, url, expected] = process.argv.slice(2)

async function registryCalls() {
  const registry = new SchemaRegistry({ host: url })
  const subject = 'kafkajs-value'
  const options = { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE }
  const record = (...fields) => ({
    type: SchemaType.AVRO,
    schema: JSON.stringify({ type: 'record', name: 'Answer', namespace: 'n', fields }),
  })
  const text = { name: 'text', type: 'string' }

  const first = await registry.register(record(text), options)
  const again = await registry.register(record(text), options)
  assert.equal(first.id, again.id)
  const second = await registry.register(record(text, { name: 'nats', type: 'double', default: 0 }), options)
  assert.notEqual(first.id, second.id)

  assert.equal(await registry.getLatestSchemaId(subject), second.id)
  assert.equal(await registry.getRegistryId(subject, 1), first.id)
  assert.equal(await registry.getRegistryIdBySchema(subject, record(text)), first.id)
  const framed = await registry.encode(second.id, { text: 'x', nats: 2 })
  assert.deepEqual({ ...(await registry.decode(framed)) }, { text: 'x', nats: 2 })

  await assert.rejects(registry.register(record({ name: 'text', type: 'int' }), options), /incompatible/i)
  await assert.rejects(new SchemaRegistry({ host: url }).getLatestSchemaId('nobody'), /not found/i)
  await assert.rejects(registry.getSchema(4711), /not found/i)
}

await conform(CLIENT, async () => {
  await registryCalls()
  const plain = new SchemaRegistry({ host: url })
  const wide = new SchemaRegistry({ host: url }, { [SchemaType.AVRO]: { typeHook: bigIntegers(avro) } })
  return compareTopics(
    CLIENT,
    { bootstrap, registry: url, expected },
    (topic, bytes) => plain.decode(bytes),
    (topic, bytes) => wide.decode(bytes),
  )
})
