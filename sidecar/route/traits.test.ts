import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySpecTexts, readCommandFile } from '../../scripts/generate/commands.ts'
import { routeOf } from '../../scripts/generate/routing-decisions.ts'
import { formatKeySpec } from '../../common/redis/key-specs.ts'
import { encodeCommand } from '../resp/encode.ts'
import { CommandFrame } from './command-frame.ts'
import { allTraits, findTraits } from './traits.ts'

const file = await readCommandFile()
const frame = new CommandFrame()

function find(...words: readonly string[]) {
  const bytes = encodeCommand(words)
  frame.read(bytes, 0, bytes.length)
  return findTraits(frame)
}

test('every command and sub-command is found by its name in any case, with what its servers say', () => {
  const names = Object.keys(file.commands)
  assert.deepEqual(
    allTraits().map(({ name }) => name),
    names,
  )
  for (const name of names) {
    const words = name.split('|')
    const mixed = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    for (const written of [words, mixed, words.map((word) => word.toUpperCase())]) {
      assert.equal(find(...written)?.name, name, written.join(' '))
    }
    const traits = find(...words)
    const { route, merge, readsOnly } = routeOf(name, file)
    assert.deepEqual([traits?.route, traits?.merge, traits?.readsOnly], [route, merge, readsOnly])
    const variants = file.commands[name] ?? []
    assert.deepEqual(traits?.keys.map(formatKeySpec), keySpecTexts(variants), name)
    for (const { arity } of variants) assert.ok(accepts(traits?.arity ?? 0, arity), name)
    assert.equal(
      traits?.isContainer,
      names.some((other) => other.startsWith(`${name}|`)),
    )
  }
})

/** Whether all that a server counts as enough is enough. */
function accepts(arity: number, ofServer: number): boolean {
  return arity === ofServer || (arity < 0 && Math.abs(ofServer) >= -arity)
}

test('what only begins or ends like a command is none', () => {
  for (const name of [
    '',
    'g',
    'ge',
    'gett',
    ' get',
    'get ',
    'config|get',
    'get:2',
    '|',
    'ÇET',
    'get\0',
  ]) {
    assert.equal(find(name, 'a'), undefined, name)
  }
  for (const sub of ['', 'ge', 'gett', '|get', 'g\0et', 'get:']) {
    assert.equal(find('config', sub), undefined, sub)
  }
  // A sub-command is looked for only where there are some.
  assert.equal(find('get', 'set')?.name, 'get')
  assert.equal(find('config')?.name, 'config')
})
