import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { renderMetrics } from '../../common/metrics.ts'
import { type DataPlaneView, newCounters } from '../data-plane.ts'
import { type MetricSource, sidecarMetrics } from './metrics.ts'

const view: DataPlaneView = {
  counters: { ...newCounters(), clientsAccepted: 3, commands: 17 },
  clients: 2,
  rawConnections: 0,
  inFlightCommands: 1,
  heldCommands: 0,
  upstreamConnections: 1,
  pinnedConnections: 0,
  primary: 'failing',
  isPaused: false,
}

const source: MetricSource = {
  view,
  version: '1.2.3',
  isReady: true,
  process: {
    cpuSeconds: 1,
    residentBytes: 2,
    heapUsedBytes: 3,
    startedAtSeconds: 4,
    eventLoopLagSeconds: 5,
    loopDelay: { p99Seconds: 0.01, maxSeconds: 0.02 },
  },
}

test('the values of the data path are shown as they are', async () => {
  const { text, contentType } = await renderMetrics(sidecarMetrics, source)
  assert.match(contentType, /^text\/plain; version=0\.0\.4/)
  assert.match(text, /^respmesh_commands_total 17$/m)
  assert.match(text, /^respmesh_primary_state\{state="failing"\} 1$/m)
  assert.match(text, /^respmesh_primary_state\{state="ok"\} 0$/m)
  assert.match(text, /^respmesh_build_info\{version="1\.2\.3"\} 1$/m)
})

test('what has no value is left out rather than shown as 0', async () => {
  const { text } = await renderMetrics(sidecarMetrics, source)
  assert.doesNotMatch(text, /respmesh_stream|respmesh_config_epoch/)
})

test('names follow the conventions: prefix, and counters end in _total', () => {
  for (const { name, type } of sidecarMetrics) {
    assert.match(name, /^respmesh_[a-z_]+$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
  }
  assert.equal(new Set(sidecarMetrics.map(({ name }) => name)).size, sidecarMetrics.length)
})

test('the reference lists every metric with its type and help, and no other', () => {
  const page = readFileSync(
    join(import.meta.dirname, '..', '..', 'docs', 'reference', 'metrics.md'),
    'utf8',
  )
  const rows = page.matchAll(/^\| `(respmesh_\w+)` +\| (\w+) +\| ([^|]*) \| ([^|]*) \|$/gm)
  const documented = [...rows].map(([, name, type, labels, help]) =>
    [name, type, labels?.trim(), help?.trim()].join(' | '),
  )
  const defined = sidecarMetrics.map(({ name, type, labels, help }) =>
    [name, type, (labels ?? []).map((label) => `\`${label}\``).join(', '), help].join(' | '),
  )
  assert.deepEqual(documented.toSorted(), defined.toSorted())
})
