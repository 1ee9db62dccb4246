import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interpret } from './probe.ts'
import { ReplyError, parseReply } from './reply.ts'

const role = '*3\r\n$6\r\nmaster\r\n:42\r\n*1\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n'

test('a reply is read whole, and not before it is', () => {
  const bytes = Buffer.from(`${role}+OK\r\n`)
  for (let length = 0; length < role.length; length += 1) {
    assert.equal(parseReply(bytes.subarray(0, length)), undefined)
  }
  const parsed = parseReply(bytes)
  assert.deepEqual(parsed, { reply: ['master', 42, [['a', 'b', null]]], end: role.length })
  assert.deepEqual(parseReply(bytes, role.length)?.reply, 'OK')
})

test('what is not RESP is refused', () => {
  assert.throws(() => parseReply(Buffer.from('HTTP/1.1 400\r\n')), /not RESP/)
  assert.throws(() => parseReply(Buffer.from('$x\r\n')), /none/)
  assert.throws(() => parseReply(Buffer.from('*1\r\n'.repeat(20))), /nested/)
})

test('role and run-id are taken from ROLE and INFO', () => {
  assert.deepEqual(interpret(['master', 1, []], '# Server\r\nrun_id:abc\r\n'), {
    kind: 'master',
    runId: 'abc',
  })
  assert.deepEqual(interpret(['slave', 'h', 1, 'connected', 5], null), { kind: 'replica' })
})

test('a refusal is not a role', () => {
  assert.throws(() => interpret(new ReplyError('NOAUTH x'), null), /refuses ROLE: NOAUTH x/)
  assert.throws(() => interpret(['sentinel'], null), /not understood/)
})
