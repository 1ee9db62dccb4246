/** Answers of a sidecar and of `respmesh up` as text. Pure; a field that is missing is left out. */

export interface Answer {
  readonly kind: 'sidecar' | 'up'
  readonly address: string
  readonly value: object
}

export interface Screen {
  readonly text: string
  readonly isGood: boolean
}

const eventsShown = 8

/** What is read of a sidecar’s `/status`; another release may say more or less. */
interface SidecarStatus {
  readonly version?: string
  readonly ready?: { readonly isOk?: boolean; readonly reason?: string }
  readonly isPaused?: boolean
  readonly primary?: { readonly state?: string; readonly address?: string }
  readonly config?: {
    readonly proxy?: string
    readonly epoch?: number
    readonly version?: number
    readonly appliedAt?: string
  }
  readonly stream?: { readonly isConnected?: boolean; readonly lastError?: string }
  readonly listeners?: readonly string[]
  readonly clients?: number
  readonly inFlightCommands?: number
  readonly heldCommands?: number
  readonly upstreamConnections?: number
  readonly pinnedConnections?: number
  readonly workers?: readonly unknown[]
  readonly counters?: Readonly<Record<string, number>>
}

/** The same of the `/api/status` of `respmesh up`. */
interface UpStatus {
  readonly name?: string
  readonly endpoint?: string
  readonly ready?: { readonly status?: string; readonly message?: string }
  readonly phase?: string
  readonly epoch?: number
  readonly primary?: string
  readonly members?: readonly Readonly<Record<string, string | number>>[]
  readonly sidecars?: readonly Readonly<Record<string, string | number | boolean>>[]
  readonly lastFailover?: Readonly<Record<string, string | number>>
  readonly events?: readonly { readonly at: string; readonly message: string }[]
}

export function screenOf({ kind, address, value }: Answer): Screen {
  return kind === 'sidecar' ? sidecarScreen(address, value) : upScreen(address, value)
}

function sidecarScreen(address: string, status: SidecarStatus): Screen {
  const { ready, primary, config, stream, counters = {} } = status
  const isReady = ready?.isOk === true
  const state = primary?.state ?? 'unknown'
  const count = (name: string) => counters[name] ?? 0
  const cut = Object.entries(counters)
    .filter(([name, times]) => name.startsWith('clientsCut') && times > 0)
    .map(([name, times]) => `${times} ${name.slice('clientsCut'.length).toLowerCase()}`)
  const title = `respmesh ${status.version ?? ''} sidecar at ${address}: ${isReady ? 'ready' : 'not ready'}`
  const text = lines(title, [
    ['why', isReady ? undefined : ready?.reason],
    ['primary', `${primary?.address ?? 'none'} (${state})`],
    ['paused', status.isPaused === true ? 'yes: commands are held' : undefined],
    ['config', config && `${config.proxy}, epoch ${config.epoch}, since ${config.appliedAt}`],
    ['control plane', stream && (stream.isConnected ? 'connected' : (stream.lastError ?? 'away'))],
    ['listening', status.listeners?.join(', ')],
    ['workers', status.workers?.length],
    ['clients', status.clients],
    [
      'connections',
      `${status.upstreamConnections ?? 0} shared, ${status.pinnedConnections ?? 0} of one client each`,
    ],
    [
      'commands',
      `${count('commands')}; ${status.inFlightCommands ?? 0} in flight, ${status.heldCommands ?? 0} held`,
    ],
    [
      'failed',
      `${count('commandsLost')} lost, ${count('commandsHeldTooLong')} held too long, ${count('commandsShed')} shed`,
    ],
    ['clients cut', cut.length === 0 ? undefined : cut.join(', ')],
  ])
  return { text, isGood: isReady && state === 'ok' }
}

function upScreen(address: string, status: UpStatus): Screen {
  const { ready, lastFailover, members = [], sidecars = [], events = [] } = status
  const isReady = ready?.status === 'True'
  const title = `respmesh up at ${address}, ${status.name ?? ''}: ${isReady ? 'ready' : 'not ready'}`
  const text = lines(title, [
    ['why', isReady ? undefined : ready?.message],
    ['endpoint', status.endpoint],
    ['primary', status.primary ?? 'none'],
    ['epoch', `${status.epoch ?? 0}, ${status.phase ?? 'unknown'}`],
    ...members.map((member): Row => {
      const lag = member['lagBytes'] === undefined ? '' : `, ${member['lagBytes']} B behind`
      return ['server', `${member['address']}  ${member['role']}, ${member['state']}${lag}`]
    }),
    ...sidecars.map((sidecar): Row => {
      const link = sidecar['isConnected'] === true ? `epoch ${sidecar['epoch']}` : 'not connected'
      return ['sidecar', `${sidecar['endpoint']}  ${link}, primary ${sidecar['primary'] ?? '-'}`]
    }),
    [
      'last failover',
      lastFailover &&
        `${lastFailover['from'] ?? ''} → ${lastFailover['to']}, ${lastFailover['reason']}`,
    ],
    ...events.slice(-eventsShown).map(({ at, message }): Row => [at.slice(11, 19), message]),
  ])
  return { text, isGood: isReady }
}

type Row = readonly [string, string | number | undefined]

function lines(title: string, rows: readonly Row[]): string {
  const shown = rows.filter(([, value]) => value !== undefined)
  return [title, ...shown.map(([name, value]) => `  ${name.padEnd(14)} ${value}`)]
    .map(printable)
    .join('\n')
}

/** What comes from elsewhere must not steer a terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '�')
}
