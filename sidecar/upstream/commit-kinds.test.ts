import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeCommand } from '../resp/encode.ts'
import { CommandFrame } from '../route/command-frame.ts'
import { allTraits } from '../route/traits.ts'
import { kindOfTraits, writeKindOf } from './commit-kinds.ts'

interface Known {
  readonly commands: Readonly<Record<string, readonly { readonly flags: readonly string[] }[]>>
}

const path = join(import.meta.dirname, '../../common/redis/generated/commands.json')
const { commands } = JSON.parse(readFileSync(path, 'utf8')) as Known

function kindOf(...words: string[]) {
  const frame = new CommandFrame()
  const bytes = encodeCommand(words)
  frame.read(bytes, 0, bytes.length)
  return writeKindOf(frame)
}

test('what any known server flags as a write waits for replicas', () => {
  let count = 0
  for (const traits of allTraits()) {
    const flags = new Set(commands[traits.name]?.flatMap((version) => version.flags))
    if (!flags.has('write')) continue
    count += 1
    assert.ok(['write', 'blocking'].includes(kindOfTraits(traits)), traits.name)
  }
  assert.ok(count > 120)
})

test('what only reads does not', () => {
  for (const traits of allTraits()) {
    const versions = commands[traits.name] ?? []
    const readsOnly = versions.every(({ flags }) => flags.includes('readonly'))
    if (versions.length === 0 || !readsOnly || traits.name === 'pfcount') continue
    assert.equal(kindOfTraits(traits), 'none', traits.name)
  }
})

test('scripts, functions, and what nobody knows may write', () => {
  for (const name of [
    'EVAL',
    'evalsha',
    'FCALL',
    'JSON.SET',
    'PFCOUNT',
    'DEBUG',
    'x'.repeat(200),
  ]) {
    assert.equal(kindOf(name, 'a', 'b'), 'write', name)
  }
  assert.equal(kindOf('FUNCTION', 'LOAD', 'x'), 'write')
  assert.equal(kindOf('FUNCTION', 'LIST'), 'none')
  assert.equal(kindOf('FUNCTION', 'NEW'), 'write')
  assert.equal(kindOf('XGROUP', 'CREATE', 'a', 'b', '$'), 'write')
  assert.equal(kindOf('config', 'set', 'a', 'b'), 'none')
  assert.equal(kindOf('PUBLISH', 'a', 'b'), 'none')
})

test('what blocks, what is a transaction and what cannot be followed is told apart', () => {
  assert.equal(kindOf('BLPOP', 'a', '0'), 'blocking')
  assert.equal(kindOf('XREADGROUP', 'GROUP', 'a', 'b', 'STREAMS', 'c', '>'), 'blocking')
  assert.equal(kindOf('XREAD', 'BLOCK', '0', 'STREAMS', 'c', '$'), 'none')
  assert.equal(kindOf('WAIT', '1', '0'), 'none')
  assert.equal(kindOf('multi'), 'multi')
  assert.equal(kindOf('exec'), 'exec')
  assert.equal(kindOf('RESET'), 'discard')
  assert.equal(kindOf('SSUBSCRIBE', 'a'), 'subscription')
  assert.equal(kindOf('MONITOR'), 'raw')
  assert.equal(kindOf('PSYNC', '?', '-1'), 'raw')
  assert.equal(kindOf('SCRIPT', 'DEBUG', 'YES'), 'raw')
  assert.equal(kindOf('SCRIPT', 'LOAD', 'x'), 'none')
})
