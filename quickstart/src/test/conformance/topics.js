// What the readers in JavaScript share: all committed records of all topics, read with kafkajs in one consumer group,
// decoded by the client under test, and compared with what Java read (see TopicRecords.java for the form).
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { decompress } from 'fzstd'
import kafkajs from 'kafkajs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs
const PATIENCE_MS = 120_000

// Whence compresses with zstd, which kafkajs reads with a codec that its user chooses.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async () => {
    throw new Error('this reader does not write')
  },
  decompress: async (buffer) => Buffer.from(decompress(buffer)),
})

/** A client that reads other than Java did. */
export class Difference extends Error {}

// --- Decoded values in a form that loses nothing, as CanonicalValues.java makes it -------------------

/** @param path where in the record, for the message */
function canonical(schema, value, names, path) {
  const fail = (expected) => {
    throw new Difference(`${path} is ${expected}, and the client gives ${typeof value}`)
  }
  if (Array.isArray(schema)) {
    // Contracts have unions of null and one type only.
    return value === null ? null : canonical(schema.find((type) => type !== 'null'), value, names, path)
  }
  const type = typeof schema === 'string' ? schema : schema.type
  if (names.has(type)) {
    return canonical(names.get(type), value, names, path)
  }
  if (typeof type === 'object') {
    return canonical(type, value, names, path)
  }
  const bits = (bytes, write) => {
    const view = Buffer.alloc(bytes)
    view[write](value)
    return view.toString('hex')
  }
  switch (type) {
    case 'record': {
      names.set(schema.name, schema)
      const fields = schema.fields.map((field) => field.name)
      if (value === null || typeof value !== 'object' || !isDeepStrictEqual(Object.keys(value), fields)) {
        fail(`a record of ${fields}`)
      }
      return Object.fromEntries(
        schema.fields.map((field) => [field.name, canonical(field.type, value[field.name], names, `${path}.${field.name}`)]),
      )
    }
    case 'enum':
      names.set(schema.name, schema)
      return schema.symbols.includes(value) ? value : fail(`one of ${schema.symbols}`)
    case 'array':
      return Array.isArray(value)
        ? value.map((entry, i) => canonical(schema.items, entry, names, `${path}[${i}]`))
        : fail('an array')
    case 'map':
      return value === null || typeof value !== 'object'
        ? fail('a map')
        : Object.fromEntries(
            Object.entries(value).map(([name, entry]) => [name, canonical(schema.values, entry, names, `${path}[...]`)]),
          )
    case 'string':
      return typeof value === 'string' ? value : fail('a string')
    case 'boolean':
      return typeof value === 'boolean' ? value : fail('a boolean')
    case 'bytes':
      return Buffer.isBuffer(value) ? value.toString('hex') : fail('bytes')
    case 'int':
      return Number.isInteger(value) ? value : fail('an int')
    case 'long':
      return typeof value === 'bigint' || Number.isSafeInteger(value) ? String(value) : fail('a long')
    case 'float':
      return typeof value === 'number' ? bits(4, 'writeFloatBE') : fail('a float')
    case 'double':
      return typeof value === 'number' ? bits(8, 'writeDoubleBE') : fail('a double')
    default:
      throw new Difference(`${path} is of type ${type}, which no contract has`)
  }
}

/** Where two values differ first, with the beginnings of both; nothing where they do not. */
function difference(java, here, path) {
  if (java !== null && here !== null && typeof java === 'object' && typeof here === 'object') {
    for (const name of new Set([...Object.keys(java), ...Object.keys(here)])) {
      const found = difference(java[name], here[name], Array.isArray(java) ? `${path}[${name}]` : `${path}.${name}`)
      if (found) {
        return found
      }
    }
    return ''
  }
  return java === here ? '' : `${path}: Java reads ${short(java)}, this client ${short(here)}`
}

const short = (value) => String(JSON.stringify(value)).slice(0, 60)

// --- Topics ------------------------------------------------------------------------------------------

/** A type of 64 bit integers for avsc, which both clients decode with: it reads -2^52 to 2^53 - 2 by itself. */
export function bigIntegers(avro) {
  const type = avro.types.LongType.__with({
    fromBuffer: (buffer) => buffer.readBigInt64LE(),
    toBuffer: (value) => {
      const buffer = Buffer.alloc(8)
      buffer.writeBigInt64LE(value)
      return buffer
    },
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (value) => typeof value === 'bigint',
    compare: (a, b) => (a === b ? 0 : a < b ? -1 : 1),
  })
  return (schema) => (schema === 'long' || schema.type === 'long' ? type : undefined)
}

/**
 * Reads everything and throws a Difference at the first record that is not what Java read.
 *
 * @param asItComes decodes (topic, bytes) as the client does without further ado
 * @param withBigIntegers the same with a type for 64 bit integers: the only one for records with integers that numbers
 *   of JavaScript do not hold
 * @return one line that says how much was read
 */
export async function compareTopics(client, { bootstrap, registry, expected }, asItComes, withBigIntegers) {
  const records = readFileSync(expected, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
  const waiting = new Map(records.map((record) => [place(record), record]))
  const topics = [...new Set(records.map((record) => record.topic))]
  const schemas = new Map()

  async function schemaOf(id) {
    if (!schemas.has(id)) {
      const answer = await (await fetch(`${registry}/schemas/ids/${id}`)).json()
      schemas.set(id, JSON.parse(answer.schema))
    }
    return schemas.get(id)
  }

  async function check(topic, partition, message) {
    const at = `offset ${message.offset} of partition ${partition} of ${topic}`
    const java = waiting.get(place({ topic, partition, offset: message.offset }))
    if (!java) {
      throw new Difference(`${at}: Java sees no record there, or this client gave it twice`)
    }
    waiting.delete(place(java))
    const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, value.toString('utf8')])
    const found = { key: message.key.toString('utf8'), headers }
    const wrong = difference({ key: java.key, headers: java.headers }, found, at)
    if (wrong) {
      throw new Difference(wrong)
    }
    if (java.value === null || message.value === null) {
      if (java.value !== message.value) {
        throw new Difference(`${at}: only one of Java and this client sees a tombstone`)
      }
      return
    }
    const id = message.value.readInt32BE(1)
    if (message.value[0] !== 0 || id !== java.schemaId) {
      throw new Difference(`${at}: Java sees schema ${java.schemaId}, this client ${id}`)
    }
    const schema = await schemaOf(id)
    for (const decode of java.wide ? [withBigIntegers] : [asItComes, withBigIntegers]) {
      let value
      try {
        value = await decode(topic, message.value)
      } catch (error) {
        throw new Difference(`${at}: the client can not decode it: ${error.message}`)
      }
      const other = difference(java.value, canonical(schema, value, new Map(), 'value'), `${at}, value`)
      if (other) {
        throw new Difference(other)
      }
    }
  }

  const kafka = new Kafka({ clientId: 'conformance', brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `conformance-${client.replace('/', '-')}`, readUncommitted: false })
  await consumer.connect()
  try {
    await consumer.subscribe({ topics, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Difference(`${waiting.size} of ${records.length} records did not come in ${PATIENCE_MS / 1000} s, the first of them at ${waiting.keys().next().value}`)),
        PATIENCE_MS,
      )
      const end = (settle, value) => {
        clearTimeout(timer)
        settle(value)
      }
      consumer.on(consumer.events.CRASH, ({ payload }) => end(reject, payload.error))
      consumer
        .run({
          autoCommit: false,
          eachMessage: async ({ topic, partition, message }) => {
            try {
              await check(topic, partition, message)
            } catch (error) {
              end(reject, error)
            }
            if (waiting.size === 0) {
              // A moment more, for a record that Java does not see.
              setTimeout(() => end(resolve), 2000)
            }
          },
        })
        .catch((error) => end(reject, error))
    })
  } finally {
    await consumer.disconnect()
  }
  return `${client}: ${records.length} records of ${topics.length} topics read as Java reads them`
}

const place = ({ topic, partition, offset }) => `${topic} ${partition} ${offset}`

/** Runs a check; what is wrong is one line on standard error and exit code 1. */
export async function conform(client, check) {
  try {
    console.log(await check())
  } catch (error) {
    const expected = error instanceof Difference
    console.error(`${client}: ${expected ? error.message : error.stack}`)
    process.exit(1)
  }
}
