import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameArgumentsKept } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { CommandFrame } from './command-frame.ts'
import { findKeys, firstKey } from './keys.ts'
import { findTraits } from './traits.ts'

const frame = new CommandFrame()

/** Words are separated by spaces, `""` is the empty one. */
function keysOf(line: string): readonly string[] | undefined {
  const bytes = encodeCommand(line.split(' ').map((word) => (word === '""' ? '' : word)))
  const padded = Buffer.concat([Buffer.from('+x\r\n'), bytes, Buffer.from('*1\r\n')])
  frame.read(padded, 4, padded.length)
  assert.equal(frame.end, 4 + bytes.length, line)
  const traits = findTraits(frame)
  if (traits === undefined || !findKeys(frame, traits)) return undefined
  return Array.from({ length: frame.keyCount }, (_, index) =>
    padded.toString('latin1', frame.keyStart(index), frame.keyEnd(index)),
  )
}

const examples: Readonly<Record<string, string>> = {
  'GET k': 'k',
  'gEt k': 'k',
  'MSET a 1 b 2': 'a b',
  'EVAL s 2 a b c': 'a b',
  'EVAL s 0 a': '',
  'EVAL s 3 a b': '',
  'EVAL s x a': '',
  'EVAL s 01 a': '',
  'EVAL s -1 a': '',
  'FCALL_RO f 1 k a': 'k',
  'XREAD COUNT 1 STREAMS a b 0 0': 'a b',
  'XREADGROUP GROUP streams c NOACK streams s >': 's',
  'XREAD BLOCK 0 STREAMS': '',
  'SORT a BY store GET get STORE d': 'a d',
  'SORT a STORE b STORE c': 'a c',
  'SORT_RO a GET x': 'a',
  'GEORADIUS k 0 0 1 m STORE a': 'k a',
  'GEORADIUSBYMEMBER k STORE 1 m STOREDIST b': 'k b',
  'OBJECT ENCODING k': 'k',
  'object|encoding k': 'unknown',
  'OBJECT HELP': '',
  'OBJECT NEW k': 'unknown',
  'MEMORY USAGE k SAMPLES 5': 'k',
  'XGROUP CREATE s g $': 's',
  'ZUNIONSTORE d 2 a b WEIGHTS 1 2': 'd a b',
  'LMPOP 2 a b LEFT': 'a b',
  'BLPOP a b 0': 'a b',
  'MIGRATE h 1 k 0 1': 'k',
  'MIGRATE h 1 "" 0 1 COPY KEYS a b': 'a b',
  'MIGRATE h 1 k 0 1 KEYS a b': '',
  'MIGRATE h 1 "" 0 1 AUTH2 keys keys KEYS a': 'a',
  'SPUBLISH c m': 'c',
  'MSETEX 2 a 1 b 2 EX 1': 'a b',
  PING: '',
  NOPE: 'unknown',
}

test('keys are found wherever a command has them', () => {
  for (const [line, expected] of Object.entries(examples)) {
    assert.equal(keysOf(line)?.join(' ') ?? 'unknown', expected, line)
  }
})

test('of a frame whose end has not come the first key is told', () => {
  const first = (line: string, length: number) => {
    const bytes = encodeCommand(line.split(' '))
    frame.read(bytes, 0, length)
    assert.equal(frame.isWhole, length === bytes.length)
    const traits = findTraits(frame)
    assert.ok(traits)
    return firstKey(frame, traits)
  }
  const set = encodeCommand(['SET', 'k', 'value']).length
  assert.equal(first('SET k value', set - 1), 1)
  assert.equal(first('SET k value', 15), 0)
  assert.equal(first('EVAL script 1 k arg', encodeCommand(['EVAL', 'script', '1', 'k']).length), 3)
  assert.equal(first('ZUNIONSTORE d 2 a b', encodeCommand(['ZUNIONSTORE', 'd']).length), 1)
  assert.equal(first('XREAD STREAMS s 0', encodeCommand(['XREAD', 'STREAMS', 's', '0']).length), 2)
})

test('room for a large command is given back with the next small one', () => {
  const many = ['DEL', ...Array.from({ length: frameArgumentsKept * 3 }, (_, index) => `k${index}`)]
  const large = encodeCommand(many)
  frame.read(large, 0, large.length)
  const traits = findTraits(frame)
  assert.ok(traits && findKeys(frame, traits))
  assert.equal(frame.keyCount, many.length - 1)
  assert.equal(frame.argument(many.length - 1).toString(), many.at(-1))
  const room = () => (frame as unknown as { starts: Int32Array }).starts.length
  assert.ok(room() > frameArgumentsKept)
  assert.deepEqual(keysOf('GET k'), ['k'])
  assert.ok(room() <= frameArgumentsKept)
})
