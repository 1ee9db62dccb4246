import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Reply, ReplyError } from '../reply.ts'
import { readAnswers } from './sentinel-replies.ts'

const master = ['name', 'cache', 'ip', '10.0.0.1', 'port', '6379', 'config-epoch', '7']
const replica = (port: string, flags: string) => ['ip', '10.0.0.2', 'port', port, 'flags', flags]
const other = ['ip', '10.0.0.9', 'port', '26379', 'runid', 'abc']

test('what a Sentinel says of primary, replicas and other Sentinels is read', () => {
  const replicas = [replica('1', 'slave'), replica('2', 's_down,slave,disconnected')]
  assert.deepEqual(readAnswers([master, ['10.0.0.1', '6379'], replicas, [other], 'me']), {
    primary: { host: '10.0.0.1', port: 6379 },
    configEpoch: 7,
    id: 'me',
    replicas: [
      { host: '10.0.0.2', port: 1, isDown: false },
      { host: '10.0.0.2', port: 2, isDown: true },
    ],
    sentinels: [{ host: '10.0.0.9', port: 26379, id: 'abc' }],
  })
})

test('while it fails over, the primary is the one that it tells clients', () => {
  const says = readAnswers([master, ['10.0.0.2', '1'], [], [], new ReplyError('ERR unknown')])
  assert.deepEqual(says?.primary, { host: '10.0.0.2', port: 1 })
  assert.equal(says.id, undefined)
})

test('one that does not know the name, or says something else, says nothing', () => {
  const unknown = new ReplyError('ERR No such master with that name')
  assert.equal(readAnswers([unknown, null, unknown, unknown, 'me']), undefined)
  assert.equal(readAnswers([master, ['/etc/passwd', '1'], [], [], null]), undefined)
  assert.equal(readAnswers([master, ['10.0.0.1', '70000'], [], [], null]), undefined)
  const replies = fc.letrec<{ reply: Reply }>((tie) => ({
    reply: fc.oneof(
      { maxDepth: 3 },
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.string().map((text) => new ReplyError(text)),
      fc.array(tie('reply'), { maxLength: 5 }),
    ),
  })).reply
  fc.assert(fc.property(fc.array(replies, { maxLength: 6 }), (all) => void readAnswers(all)))
})
