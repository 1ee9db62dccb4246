import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Reply } from '../../resp/decode.ts'
import { readAnswer } from './answer.ts'
import { answerOf, idOf, nodesText, text } from './fixture.ts'
import { readNodeList } from './node-list.ts'

const asked = { asked: { host: 'seed.example', port: 6379 }, isSeed: true, hasTls: false }

const line = (fields: string) => `${idOf(1)} ${fields}\n`

test('a line says who, where, what and which slots', () => {
  const [node] = readNodeList(
    line(
      '10.0.0.1:6379@16379,one.example,shard-id=' +
        idOf(9) +
        ' myself,master - 0 0 7 connected 0-5 9 [12->-x]',
    ),
  )
  assert.deepEqual(node, {
    id: idOf(1),
    ip: '10.0.0.1',
    hostname: 'one.example',
    port: 6379,
    shardId: idOf(9),
    isSelf: true,
    isPrimary: true,
    primaryId: undefined,
    isFailed: false,
    isSuspected: false,
    epoch: 7,
    ranges: [
      [0, 5],
      [9, 9],
    ],
  })
})

test('an address may have colons, be missing, or have no port', () => {
  const placeOf = (place: string) => {
    const [node] = readNodeList(line(`${place} master - 0 0 1 connected`))
    return [node?.ip, node?.port]
  }
  assert.deepEqual(placeOf('2001:db8::1:6379@16379'), ['2001:db8::1', 6379])
  assert.deepEqual(placeOf(':6379@16379'), ['', 6379])
  assert.deepEqual(placeOf(':0@0,?'), ['', 0])
  assert.deepEqual(placeOf('10.0.0.1:6379'), ['10.0.0.1', 6379])
  assert.deepEqual(placeOf('10.0.0.1:99999@1'), ['10.0.0.1', 0])
})

test('slots that cannot be are none', () => {
  const rangesOf = (slots: string) =>
    readNodeList(line(`a:1@2 master - 0 0 1 connected ${slots}`))[0]?.ranges
  assert.deepEqual(rangesOf('5-3 16384 0-16384 -1 x 16383'), [[16_383, 16_383]])
  assert.deepEqual(rangesOf('[5-<-x] [6->-x]'), [])
})

test('strangers and those that only shake hands are left out', () => {
  assert.deepEqual(readNodeList(line('a:1@2 handshake,master - 0 0 0 connected')), [])
  assert.deepEqual(readNodeList(line('a:1@2 noflags - 0 0 0 connected')), [])
  assert.deepEqual(readNodeList('short line\n'), [])
  assert.deepEqual(readNodeList(nodesText(1, [{ number: 1 }]).replaceAll('0', 'z')), [])
})

/** CLUSTER SHARDS of one node. */
function shards(fields: Readonly<Record<string, string | number | null>>): Reply {
  const items = Object.entries(fields).flatMap(([name, value]): Reply[] => [
    text(name),
    value === null
      ? { kind: 'null' }
      : typeof value === 'number'
        ? { kind: 'number', value }
        : text(value),
  ])
  const node: Reply = { kind: 'list', items }
  const nodes: Reply = { kind: 'list', items: [node] }
  return { kind: 'list', items: [{ kind: 'list', items: [text('nodes'), nodes] }] }
}

test('clients are sent to the endpoint that a node prefers', () => {
  const list = text(line('10.0.0.1:6379@16379,one.example myself,master - 0 0 7 connected 0-5'))
  const addressOf = (fields: Readonly<Record<string, string | number | null>>, hasTls = false) =>
    readAnswer({ ...asked, hasTls }, list, shards({ id: idOf(1), ...fields }))?.self.address
  const one = { host: 'one.example', port: 6379 }
  assert.deepEqual(addressOf({ endpoint: 'one.example', port: 6379 }), one)
  assert.deepEqual(addressOf({ endpoint: '10.0.0.1', port: 6379 }), { ...one, host: '10.0.0.1' })
  const seed = { host: 'seed.example', port: 6379 }
  for (const endpoint of ['', '?', null])
    assert.deepEqual(addressOf({ endpoint, port: 6379 }), seed)
  const both = { endpoint: 'one.example', port: 6379, 'tls-port': 6380 }
  assert.deepEqual(addressOf(both, true), { ...one, port: 6380 })
  assert.deepEqual(addressOf(both, false), one)
})

test('without endpoints the list has to do, and a node that takes no such connections has no address', () => {
  const list = (port: number) => text(line(`10.0.0.1:${port}@1 myself,master - 0 0 7 connected`))
  const error: Reply = { kind: 'error', text: 'ERR unknown subcommand' }
  assert.deepEqual(readAnswer(asked, list(6379), error)?.self.address, {
    host: '10.0.0.1',
    port: 6379,
  })
  assert.equal(readAnswer(asked, list(0), error)?.self.address, undefined)
})

test('whoever hears most of the primaries is credible', () => {
  const nodes = (flags: string) => [
    { number: 1, slots: [[0, 1]] as const },
    { number: 2, slots: [[2, 3]] as const, flags },
    { number: 3, slots: [[4, 5]] as const, flags },
  ]
  assert.equal(answerOf(1, nodes('')).isCredible, true)
  assert.equal(answerOf(1, nodes('fail?')).isCredible, false)
  assert.equal(answerOf(1, nodes('fail')).isCredible, false)
  assert.equal(answerOf(2, nodes('fail?')).isCredible, true)
})

test('whatever a server answers, it is understood or it is none', () => {
  const word = fc.oneof(
    fc.constantFrom(idOf(1), 'myself,master', 'slave', '-', '0-16383', '10.0.0.1:1@2', '[', ''),
    fc.string(),
  )
  const anyText = fc.array(fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')))
  const anyReply = fc.letrec<{ reply: Reply }>((tie) => ({
    reply: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom('nodes', 'id', 'endpoint', 'port', idOf(1)).map(text),
      fc.string().map(text),
      fc.integer().map((value): Reply => ({ kind: 'number', value })),
      fc.constant<Reply>({ kind: 'null' }),
      fc.array(tie('reply')).map((items): Reply => ({ kind: 'list', items })),
    ),
  })).reply
  fc.assert(
    fc.property(anyText, anyReply, (lines, reply) => {
      const answer = readAnswer(asked, text(lines.join('\n')), reply)
      for (const { ranges, address } of answer?.nodes ?? []) {
        for (const [first, last] of ranges) assert(first >= 0 && first <= last && last < 16_384)
        if (address) assert(address.host !== '' && address.port > 0 && address.port < 65_536)
      }
    }),
  )
})
