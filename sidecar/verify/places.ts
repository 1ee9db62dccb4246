/** Whether the ports and sockets of a configuration can be had by a sidecar that serves another one. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { systemClock } from '../../common/clock.ts'
import type { Listener, ProxyConfig } from '../../common/contract/proxy-config.ts'
import { SystemError, systemCodeOf } from '../../common/errors.ts'
import { silentLog } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { FileWatch } from '../../common/secret-files.ts'
import { newCounters } from '../data-plane.ts'
import { ClientListener, listenerKey } from '../net/listener.ts'
import type { Findings } from './findings.ts'

interface PlaceModules {
  readonly files: FileWatch
  readonly findings: Findings
}

export async function verifyPlaces(
  config: ProxyConfig,
  current: ProxyConfig,
  { files, findings }: PlaceModules,
): Promise<void> {
  const { listeners, admin, workers = 1 } = config
  const { workers: workersNow = 1 } = current
  if (workers !== workersNow) {
    findings.add(
      `workers is ${workers} and ${workersNow} serve: clients cannot be moved between processes; restart the sidecar, or leave it [RM_CONFIG_RESTART]`,
    )
  }
  const present = new Set(current.listeners.map(listenerKey))
  for (const listener of listeners) {
    const key = listenerKey(listener)
    if (!present.has(key)) await findings.try(`listener ${key}`, () => tryListener(listener, files))
  }
  if (admin === undefined || admin.port === 0) return
  const { admin: adminNow } = current
  const isSame = adminNow?.host === admin.host && adminNow.port === admin.port
  if (!isSame) await findings.try('admin', () => tryPort(admin))
}

/** Binds and closes it. @throws SystemError RM_LISTEN_FAILED */
async function tryListener({ tls: _tls, ...plain }: Listener, files: FileWatch): Promise<void> {
  const attempt = new ClientListener(plain, {
    accept: (socket) => socket.destroy(),
    files,
    clock: systemClock,
    log: silentLog,
    counters: newCounters(),
  })
  try {
    await attempt.open()
  } finally {
    attempt.close()
  }
}

async function tryPort(address: { readonly host: string; readonly port: number }): Promise<void> {
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen(address.port, address.host)
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCodeOf(cause) ?? String(cause)
    const where = formatHostPort(address)
    throw new SystemError('RM_LISTEN_FAILED', `${where} cannot be bound: ${why}`, { cause })
  } finally {
    server.close()
  }
}
