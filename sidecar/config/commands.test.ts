import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sidecarOptions } from './options.ts'
import { readSettings } from './settings.ts'

function read(variables: Readonly<Record<string, string>>) {
  const env = { RESPMESH_UPSTREAM: 'localhost:6379', ...variables }
  return sidecarOptions(readSettings([], env), env, 'me')
}

test('variables allow and deny commands by name', () => {
  const options = read({
    RESPMESH_COMMANDS_ALLOW: 'MONITOR, config|set ,monitor',
    RESPMESH_COMMANDS_DENY: 'keys',
  })
  const commands = { allow: ['monitor', 'config|set'], deny: ['keys'] }
  assert.deepEqual(options.overrides.commands, commands)
  assert.equal(options.source.kind, 'standalone')
  if (options.source.kind === 'standalone')
    assert.deepEqual(options.source.config.commands, commands)
})

test('one list alone leaves the other one out, none at all the defaults', () => {
  assert.deepEqual(read({ RESPMESH_COMMANDS_DENY: '*' }).overrides.commands, { deny: ['*'] })
  assert.equal('commands' in read({}).overrides, false)
})

test('what is no name of a command is told', () => {
  for (const value of ['config set', 'a|b|c', 'get,,set', '**']) {
    assert.throws(() => read({ RESPMESH_COMMANDS_ALLOW: value }), {
      code: 'RM_USAGE',
      message: /RESPMESH_COMMANDS_ALLOW is .*expected names of commands/,
    })
  }
})
