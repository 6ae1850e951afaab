// @kafkajs/confluent-schema-registry against the embedded registry.
import assert from 'node:assert/strict'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'

const [url, framedByJava] = process.argv.slice(2)
const registry = new SchemaRegistry({ host: url })
const subject = 'kafkajs-value'
const options = { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE }
const record = (...fields) => ({
  type: SchemaType.AVRO,
  schema: JSON.stringify({ type: 'record', name: 'Answer', namespace: 'n', fields }),
})
const text = { name: 'text', type: 'string' }

assert.deepEqual({ ...(await registry.decode(Buffer.from(framedByJava, 'base64'))) }, { text: 'grüße', nats: 1.5 })

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
console.log('@kafkajs/confluent-schema-registry: ok')
