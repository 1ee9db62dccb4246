/**
 * The operator of a lab as a process: the real controller, prober and stream, with the record in files. It can be told
 * to kill itself right before or after any step; nothing of that is in the product.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { systemClock } from '../../../common/clock.ts'
import { createLog } from '../../../common/log.ts'
import { keyOf } from '../../../operator/api/redis-proxy.ts'
import type { RedisProxy, RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { type Backend, Prober } from '../../../operator/backend/index.ts'
import { Controller } from '../../../operator/controller/controller.ts'
import type {
  OperationDesk,
  Provider,
  StatusWriter,
} from '../../../operator/controller/provider.ts'
import type { Operation } from '../../../operator/controller/plan/types.ts'
import { Elector } from '../../../operator/kube/lease.ts'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { LocalProvider } from '../../../operator/local/provider.ts'
import { createStreamServer, sharedTokenAuthentication } from '../../../operator/stream/index.ts'
import { LeaseFile, leaseName } from './lease-file.ts'
import {
  type OperatorOrder,
  type OperatorSettings,
  type Point,
  parsePoint,
} from './operator-settings.ts'
import { RecordStore } from './record-store.ts'
import { RecordFile, writeWhole } from './record.ts'

const pollMs = 50
const settings = JSON.parse(process.env['LAB_OPERATOR'] ?? '{}') as OperatorSettings
const record = new RecordFile(settings.directory)
const log = createLog({ level: settings.logLevel ?? 'info', part: 'operator' })
let order: OperatorOrder =
  settings.dieAt === undefined ? {} : { signal: 'SIGKILL', at: settings.dieAt }
let point: Point | undefined = order.at === undefined ? undefined : parsePoint(order.at)
process.on('message', (next: OperatorOrder) => {
  order = next
  point = next.at === undefined ? undefined : parsePoint(next.at)
})
process.on('disconnect', () => process.exit(1))

function reached(when: Point['when'], step: string, phase?: string): void {
  if (point?.when !== when || point.step !== step) return
  if (point.phase !== undefined && point.phase !== phase) return
  point = undefined
  const { signal = 'SIGKILL' } = order
  process.kill(process.pid, signal)
  if (signal === 'SIGSTOP') return
  // The signal comes when this thread next leaves the kernel; nothing is done in between.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
}

const isWanted = (name: string) => name.startsWith('operation-') && name.endsWith('.wanted')
const inLab = (name: string) => join(settings.directory, name)
const statusFile = (wanted: string) => inLab(wanted.replace(/\.wanted$/, '.status'))
const wantedFiles = () => readdirSync(settings.directory).filter(isWanted)

const store = new RecordStore(record)
const status: StatusWriter = {
  async writeStatus(proxy: RedisProxy, next: RedisProxyStatus) {
    reached('before', 'record', next.phase)
    const written = store.writeStatus(proxy, next)
    reached('after', 'record', next.phase)
    return written
  },
}

function fate(_proxy: RedisProxy, server: { readonly host: string; readonly sinceMs: number }) {
  const file = inLab(`ended-${server.host}`)
  if (!settings.knowsFates || !existsSync(file)) return undefined
  return Number(readFileSync(file, 'utf8')) > server.sinceMs ? 'its process was killed' : undefined
}

/** What was asked for, in files, so that it outlives the operator. */
const operations: OperationDesk = {
  pending: () =>
    wantedFiles()
      .filter((name) => !existsSync(statusFile(name)))
      .map((name) => JSON.parse(readFileSync(inLab(name), 'utf8')) as Operation),
  report(_key, { phase, name, ...rest }) {
    if (phase === 'Running') return
    const text = JSON.stringify({ name, phase, ...rest })
    writeWhole(inLab(`operation-${name}.status`), text)
  },
  onChange(listener) {
    let former = 0
    const timer = setInterval(() => {
      const count = wantedFiles().length
      if (count !== former) for (const key of store.keys()) listener(key)
      former = count
    }, pollMs)
    return () => clearInterval(timer)
  },
}

function mortal(backend: Backend): Backend {
  const steps = new Set<PropertyKey>(['replicate', 'promote', 'handOver', 'unpause', 'protect'])
  return new Proxy(backend, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return Reflect.get(target, name, receiver)
      if (!steps.has(name)) return value.bind(target)
      return async (...args: readonly unknown[]) => {
        reached('before', String(name))
        const result: unknown = await value.apply(target, args)
        reached('after', String(name))
        return result
      }
    },
  })
}

/** Of several operators one leads; one alone always does. */
const { identity } = settings
const elector =
  identity === undefined
    ? undefined
    : new Elector(
        { namespace: 'faults', name: leaseName, identity },
        {
          client: new LeaseFile(settings.directory) as Partial<KubeClient> as KubeClient,
          clock: systemClock,
          log,
          random: Math.random,
        },
      )
const isLeader = () => elector?.isLeader() ?? true
const stream = createStreamServer(
  { authenticate: sharedTokenAuthentication(settings.token), isServing: isLeader },
  { log, clock: systemClock },
)
await stream.listen({
  host: settings.host,
  port: settings.port,
  tls: { cert: readFileSync(settings.certFile), key: readFileSync(settings.keyFile) },
})
const local = new LocalProvider(
  { proxy: record.read(), secrets: new Map(), directory: inLab('secrets') },
  {
    publisher: stream.publisher,
    onEvent: (event) => log.info({ event }, 'event'),
    expectedSidecars: () => settings.sidecars,
  },
)
const provider: Provider = {
  store,
  status,
  secrets: local,
  events: local,
  placement: local,
  publisher: stream.publisher,
  expectedSidecars: () => settings.sidecars,
  fate,
  operations,
  isLeader,
}
const controller = new Controller({
  provider,
  clock: systemClock,
  log,
  backend: mortal(new Prober({ clock: systemClock })),
})
controller.start()
store.start()
elector?.onChange((isLeading) => {
  if (!isLeading) stream.disconnectAll('another replica leads now')
  controller.enqueueAll()
})
elector?.start()
flushCompileCache()
log.info({ proxy: keyOf(record.read()) }, 'operator of the lab is up')
