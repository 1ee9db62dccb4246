/** The versions of Redis and Valkey that tests run against are what they say they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seriesStates } from '../../support/server-versions.ts'
import { startServer } from '../../support/servers.ts'

for (const state of await seriesStates()) {
  const options = state.kind === 'missing' ? { skip: `not to be had: ${state.why}` } : {}
  test(`${state.name} ${state.series} runs and says its version`, options, async () => {
    assert.equal(state.kind, 'found')
    if (state.kind !== 'found') return
    const server = await startServer({ program: state.program })
    try {
      const isValkey = state.name === 'valkey'
      const version = await server.info(isValkey ? 'valkey_version' : 'redis_version')
      assert.equal(version, state.program.version)
      assert.match(version, new RegExp(`^${RegExp.escape(state.series)}(\\.|$)`))
    } finally {
      await server.stop()
    }
  })
}
