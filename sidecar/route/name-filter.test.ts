import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandKind, knownCommandNames } from '../../common/redis/command-table.ts'
import { CommandPolicy } from '../policy/command-policy.ts'
import { nameHash } from '../resp/request-scanner.ts'
import { createNameFilter, fillNameFilter } from './name-filter.ts'

function stops(filter: Uint8Array, name: string): boolean {
  const last = name.charCodeAt(name.length - 1)
  return filter[nameHash(name.length, name.charCodeAt(0), last)] === 1
}

test('by default hardly an ordinary command is looked at for the sake of another’s name', () => {
  const policy = new CommandPolicy(undefined)
  const filter = createNameFilter(policy)
  const watched = new Set(policy.names())
  const stopped = knownCommandNames().filter((name) => stops(filter, name))
  const inVain = stopped.filter((name) => commandKind(name) === undefined && !watched.has(name))
  assert.deepEqual(inVain, ['BITOP', 'SDIFFSTORE', 'SETBIT'])
})

test('every command that has a kind or may be refused is looked at, in any case of letters', () => {
  const policy = new CommandPolicy({ deny: ['keys', 'object|freq'] })
  const filter = createNameFilter(policy)
  for (const name of ['BLPOP', 'SHUTDOWN', 'CONFIG', 'KEYS', 'OBJECT', 'RESTORE']) {
    assert.ok(stops(filter, name), name)
    assert.ok(stops(filter, name.toLowerCase()), name)
  }
})

test('a filter is changed in place, also back', () => {
  const filter = createNameFilter()
  fillNameFilter(filter, new CommandPolicy({ deny: ['*'] }))
  assert.ok(knownCommandNames().every((name) => stops(filter, name)))
  fillNameFilter(filter, new CommandPolicy(undefined))
  assert.equal(stops(filter, 'GET'), false)
})
