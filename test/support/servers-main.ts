/** `npm run servers`: gets the Redis and Valkey versions that tests use and lists them. */
import { type SeriesState, seriesStates } from './server-versions.ts'

const isOffline = process.argv.includes('--offline')
const states = await seriesStates({ isOffline })
for (const state of states) console.log(line(state))
if (states.every((state) => state.kind === 'missing')) process.exitCode = 1

function line(state: SeriesState): string {
  const start = state.name.padEnd(8)
  if (state.kind === 'missing') return `${start}${state.series.padEnd(10)}missing: ${state.why}`
  return `${start}${state.program.version.padEnd(10)}${state.program.command.join(' ')}`
}
