/**
 * The operator of a lab as a process: the real controller, prober and stream, with the record in files. It can be told
 * to kill itself right before or after any step; nothing of that is in the product.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../common/clock.ts'
import { createLog } from '../../../common/log.ts'
import { keyOf } from '../../../operator/api/redis-proxy.ts'
import type { RedisProxy, RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { type Backend, Prober } from '../../../operator/backend/index.ts'
import { Controller } from '../../../operator/controller/controller.ts'
import type { OperationDesk, StatusWriter } from '../../../operator/controller/provider.ts'
import type { Operation } from '../../../operator/controller/plan/types.ts'
import { LocalProvider } from '../../../operator/local/provider.ts'
import { createStreamServer, sharedTokenAuthentication } from '../../../operator/stream/index.ts'
import { type DeathPoint, type OperatorSettings, parsePoint } from './operator-settings.ts'
import { RecordFile, writeWhole } from './record.ts'

const pollMs = 50
const settings = JSON.parse(process.env['LAB_OPERATOR'] ?? '{}') as OperatorSettings
const record = new RecordFile(settings.directory)
const log = createLog({ level: settings.logLevel ?? 'info', part: 'operator' })
let death = settings.dieAt === undefined ? undefined : parsePoint(settings.dieAt)
process.on('message', (message: { readonly dieAt?: string }) => {
  death = message.dieAt === undefined ? undefined : parsePoint(message.dieAt)
})
process.on('disconnect', () => process.exit(1))

function reached(when: DeathPoint['when'], step: string, phase?: string): void {
  if (death?.when !== when || death.step !== step) return
  if (death.phase !== undefined && death.phase !== phase) return
  process.kill(process.pid, 'SIGKILL')
  // The signal comes when this thread next leaves the kernel; nothing is done in between.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
}

/** The local provider, with the record in files. */
class LabProvider extends LocalProvider {
  override readonly status: StatusWriter = {
    writeStatus: async (proxy: RedisProxy, status: RedisProxyStatus) => {
      reached('before', 'record', status.phase)
      record.writeStatus(proxy, status)
      reached('after', 'record', status.phase)
      // The cache follows at once, as that of the API does.
      return super.writeStatus(proxy, status)
    },
  }

  readonly fate = (_proxy: RedisProxy, server: { host: string; sinceMs: number }) => {
    const file = join(settings.directory, `ended-${server.host}`)
    if (!settings.knowsFates || !existsSync(file)) return undefined
    const endedMs = Number(readFileSync(file, 'utf8'))
    return endedMs > server.sinceMs ? 'its process was killed' : undefined
  }

  readonly operations: OperationDesk = {
    pending: () =>
      readdirSync(settings.directory)
        .filter((name) => /^operation-.*\.wanted$/.test(name) && !existsSync(statusFile(name)))
        .map((name) => JSON.parse(readFileSync(inLab(name), 'utf8')) as Operation),
    report: (_key, status) => {
      if (status.phase === 'Running') return
      writeWhole(inLab(`operation-${status.name}.status`), JSON.stringify(status))
    },
    onChange: (listener) => {
      let former = 0
      const timer = setInterval(() => {
        const count = readdirSync(settings.directory).filter((name) => isWanted(name)).length
        if (count !== former) for (const key of this.keys()) listener(key)
        former = count
      }, pollMs)
      return () => clearInterval(timer)
    },
  }
}

const isWanted = (name: string) => name.startsWith('operation-') && name.endsWith('.wanted')
const inLab = (name: string) => join(settings.directory, name)
const statusFile = (wanted: string) => inLab(wanted.replace(/\.wanted$/, '.status'))

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

const stream = createStreamServer(
  { authenticate: sharedTokenAuthentication(settings.token) },
  { log, clock: systemClock },
)
await stream.listen({
  host: settings.host,
  port: settings.port,
  tls: { cert: readFileSync(settings.certFile), key: readFileSync(settings.keyFile) },
})
const provider = new LabProvider(
  { proxy: record.read(), secrets: new Map(), directory: inLab('secrets') },
  {
    publisher: stream.publisher,
    onEvent: (event) => log.info({ event }, 'event'),
    expectedSidecars: () => settings.sidecars,
  },
)
const controller = new Controller({
  provider,
  clock: systemClock,
  log,
  backend: mortal(new Prober({ clock: systemClock })),
})
controller.start()
log.info({ proxy: keyOf(record.read()) }, 'operator of the lab is up')
setInterval(() => {
  const { spec, metadata } = record.read()
  const [key] = provider.keys()
  const known = key === undefined ? undefined : provider.get(key)
  if (metadata.generation !== known?.metadata.generation) provider.changeSpec(spec)
}, pollMs)
