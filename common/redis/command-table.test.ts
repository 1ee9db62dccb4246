import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCommandFile } from '../../scripts/generate/commands.ts'
import { commandKind, isKnownCommand, specialCommandNames } from './command-table.ts'

const file = await readCommandFile()
const names = Object.keys(file.commands)

/** Of note for a proxy by its flags or categories, and yet ordinary: these leave nothing on their connection. */
const ordinaryThoughFlagged: Readonly<Record<string, string>> = {
  echo: 'is about the connection only in that it answers',
  ping: 'is about the connection only in that it answers',
  command: 'tells of the server',
  publish: 'has one reply like any other',
  spublish: 'has one reply like any other',
  save: 'cannot be queued, which the server says itself',
  'restore-asking': 'means only itself by asking',
}

const noteworthyFlags = ['blocking', 'pubsub', 'no_auth', 'no_multi', 'skip_monitor', 'asking']
const noteworthyCategories = ['connection', 'transaction', 'scripting', 'blocking', 'pubsub']

function wordsOf(name: string): ReadonlySet<string> {
  const variants = file.commands[name] ?? []
  return new Set(variants.flatMap(({ flags, categories }) => [...flags, ...categories]))
}

test('every command whose flags concern its connection has been decided upon', () => {
  const undecided = names.filter((name) => {
    const words = wordsOf(name)
    const isNoteworthy = [...noteworthyFlags, ...noteworthyCategories].some((word) =>
      words.has(word),
    )
    return isNoteworthy && !name.includes('|') && commandKind(name.toUpperCase()) === undefined
  })
  const unexplained = undecided.filter((name) => !(name in ordinaryThoughFlagged))
  assert.deepEqual(unexplained, [])
  const idle = Object.keys(ordinaryThoughFlagged).filter((name) => !undecided.includes(name))
  assert.deepEqual(idle, [])
})

test('a command that blocks, whatever the version, is never sent on a shared connection as it is', () => {
  const kinds = new Set(['blocking', 'blockingIfAsked', 'waiting'])
  const blocking = names.filter((name) => wordsOf(name).has('blocking'))
  assert.ok(blocking.length >= 10)
  for (const name of blocking) assert.ok(kinds.has(commandKind(name.toUpperCase()) ?? ''), name)
})

test('every name with a kind is a command of a known version', () => {
  assert.deepEqual(
    specialCommandNames().filter((name) => !isKnownCommand(name)),
    [],
  )
  assert.equal(isKnownCommand('HGETDEL'), true)
  assert.equal(isKnownCommand('CONFIG|GET'), false)
})
