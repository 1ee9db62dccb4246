/**
 * `node test/load/main.ts [--json FILE] [--only NAME]`: what a sidecar does under more than it should be given.
 * Full sizes with RESPMESH_TEST_SIZE=full; else small ones that show the same in a minute.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { connectionChurn, connectionStorm, fileExhaustion, idleClients } from './clients.ts'
import { failovers, resharding, stoppedShard } from './cluster.ts'
import { memoryCeiling, slowReaders, slowSubscriber, slowloris, stalledServer } from './hoarders.ts'
import { overload } from './overload.ts'
import { isFullSize } from './rig.ts'

const megabyte = 1 << 20
const size = (full: number, small: number) => (isFullSize ? full : small)
const factors = [0.5, 0.8, 1, 2, 4]
const load = { connections: size(1000, 100), seconds: size(60, 2), factors }

const rows: Readonly<Record<string, () => Promise<unknown>>> = {
  L1: () => idleClients(size(10_000, 1000)),
  L3: () => slowReaders(size(200, 50), 100),
  L6: () => overload(load),
  'L6 direct': () => overload({ ...load, isDirect: true }),
  'L6 slow server': () => overload({ ...load, isSlowServer: true }),
  'L6 slow server, direct': () => overload({ ...load, isSlowServer: true, isDirect: true }),
  L7: () => stalledServer(size(1000, 100), 5000),
  L8: () => memoryCeiling(size(100, 20), 256 * megabyte),
  L10: () => fileExhaustion(size(1024, 256), size(2000, 400)),
  L11: () => connectionChurn(size(100_000, 4000)),
  L13: () => slowloris(size(5000, 300), 5000),
  L14: () => slowSubscriber(size(100, 60)),
  storm: () => connectionStorm(2000),
  'resharding under load': () => resharding(size(30, 8), size(1000, 30)),
  'failovers under load': () => failovers(size(30, 8), size(20, 3), false),
  'primaries killed under load': () => failovers(size(30, 8), size(20, 2), true),
  'one shard stopped': () => stoppedShard(size(20, 8), size(4000, 1500)),
}

const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } })
const results: Record<string, unknown> = {}
for (const [name, run] of Object.entries(rows)) {
  if (values.only !== undefined && name !== values.only) continue
  const start = performance.now()
  try {
    results[name] = await run()
  } catch (error) {
    results[name] = { error: error instanceof Error ? error.message : String(error) }
    process.exitCode = 1
  }
  const seconds = ((performance.now() - start) / 1000).toFixed()
  console.log(`${name} (${seconds} s): ${JSON.stringify(results[name])}`)
}
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`)
process.exit()
