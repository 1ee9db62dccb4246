/** The checked-in commands are what the servers say of themselves; what differs is collected with one command. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectCommands, seriesName } from '../../../scripts/generate/commands-collect.ts'
import { readCommandFile } from '../../../scripts/generate/commands.ts'
import { factsIn } from '../../../scripts/generate/commands-model.ts'
import { seriesStates } from '../../support/server-versions.ts'

const file = await readCommandFile()
const hint = 'run `npm run generate -- --collect` and decide on what is new'

for (const state of await seriesStates()) {
  const series = seriesName(state)
  const collectedVersion = file.servers[series]
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  test(`the commands of ${series} are those that it tells`, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind !== 'found') return
    const { version } = state.program
    // A release of Debian moves on by itself; that is to be seen, and is no fault of ours.
    if (version !== collectedVersion) {
      return t.skip(
        `collected from ${collectedVersion}, but the server here is ${version}: ${hint}`,
      )
    }
    const told = await collectCommands(state.program)
    assert.deepEqual(Object.fromEntries(told), Object.fromEntries(factsIn(file, series)), hint)
  })
}
