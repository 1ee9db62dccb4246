import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySpecTexts, readCommandFile } from './commands.ts'
import { policyOf, primaryReads, routeDecisions, routeOf } from './routing-decisions.ts'

const file = await readCommandFile()
const names = Object.keys(file.commands)
const variantsOf = (name: string) => file.commands[name] ?? []

test('every tip is followed, or there is a reason why not', () => {
  const decided = new Set(routeDecisions.flatMap((decision) => decision.names))
  for (const name of names) {
    if (decided.has(name)) continue
    const request = policyOf(variantsOf(name), 'request_policy')
    const { route, merge } = routeOf(name, file)
    const expected = { all_shards: 'allShards', all_nodes: 'allNodes', multi_shard: 'split' }
    assert.equal(route, expected[(request ?? '') as keyof typeof expected] ?? 'any', name)
    assert.equal(merge === 'none', request === undefined, name)
  }
})

test('every decision is about a command that there is, and one that has no other', () => {
  for (const { names: decided } of [...routeDecisions, ...primaryReads]) {
    for (const name of decided) assert.ok(name in file.commands, name)
  }
  for (const list of [routeDecisions, primaryReads]) {
    const all = list.flatMap((decision) => decision.names)
    assert.deepEqual(all.toSorted(), [...new Set(all)].toSorted())
  }
})

test('what writes, or may, is never for a replica', () => {
  const never = `getdel getex getset sort georadius georadiusbymember eval evalsha fcall spop xreadgroup pfcount publish
    spublish set del unlink copy rename restore migrate eval_ro evalsha_ro fcall_ro touch scan hscan sscan zscan hgetex
    hgetdel bitfield blpop lmpop zmpop xautoclaim xclaim xack multi exec watch function|load script|load`
  for (const name of never.split(/\s+/)) {
    assert.ok(name in file.commands, name)
    assert.equal(routeOf(name, file).readsOnly, false, name)
  }
  for (const name of names.filter((name) => routeOf(name, file).readsOnly)) {
    for (const { flags, categories } of variantsOf(name)) {
      assert.ok(flags.includes('readonly') && !flags.includes('write'), name)
      assert.ok(!categories.includes('write') && !categories.includes('scripting'), name)
    }
  }
})

test('what is kept from replicas despite its flag has that flag', () => {
  for (const name of primaryReads.flatMap((reads) => reads.names)) {
    assert.ok(
      variantsOf(name).some(({ flags }) => flags.includes('readonly')),
      `${name} needs no exception`,
    )
  }
})

test('every command with keys says where, and all versions say the same', () => {
  for (const name of names) {
    const variants = variantsOf(name)
    const hasKeys = variants.some(({ keys }) => keys !== undefined)
    if (hasKeys) assert.ok(keySpecTexts(variants).length > 0, name)
  }
  const differing = {
    ...file.commands['get']?.[0],
    in: ['x'],
    keySpecs: ['RO; index 2; range 0 1 0'],
  }
  const [get] = variantsOf('get')
  assert.ok(get)
  assert.throws(() => keySpecTexts([get, { ...get, ...differing }]), /versions differ/)
})
