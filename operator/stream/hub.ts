/**
 * Who is connected for which RedisProxy, and the configuration each key has at present.
 * This is the `ConfigPublisher` that the controller writes to; it knows no HTTP.
 */
import type { Clock } from '../../common/clock.ts'
import { type ProxyConfig, handoverOf } from '../../common/contract/proxy-config.ts'
import { encodeLine } from '../../common/contract/stream.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { ConfigPublisher, SidecarView } from '../controller/provider.ts'
import type { Renewal, SessionEvents, StreamSession } from './session.ts'

interface Channel {
  /** The current configuration as the line that everyone gets: encoded once. */
  line: string | undefined
  /** What may be granted; absent: nothing. */
  grantable: { readonly epoch: number; readonly ttlMs: number } | undefined
  /** The planned change that it begins. */
  handover: { readonly version: number; readonly epoch: number; hasBegun: boolean } | undefined
  /** Until then every word about the primary matters. */
  suspectedUntilMs: number
  readonly sessions: Map<string, StreamSession>
}

export class StreamHub implements ConfigPublisher {
  private readonly channels = new Map<ProxyKey, Channel>()
  private readonly open = new Set<StreamSession>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly log: Log
  private readonly clock: Clock
  private readonly mayGrant: () => boolean

  /** `mayGrant`: whether this process leads, asked whenever a sidecar is to be told that it may use a primary. */
  constructor(
    modules: { readonly log: Log; readonly clock: Clock },
    mayGrant: () => boolean = () => true,
  ) {
    this.mayGrant = mayGrant
    this.log = modules.log
    this.clock = modules.clock
  }

  publish(key: ProxyKey, config: ProxyConfig): void {
    const channel = this.channel(key)
    channel.line = encodeLine({ kind: 'config', config })
    channel.grantable = grantableOf(config)
    const { version, epoch } = config
    channel.handover = handoverOf(config) && { version, epoch, hasBegun: false }
    const now = this.clock.monotonicMs()
    for (const session of channel.sessions.values()) session.send(channel.line, now)
  }

  suspect(key: ProxyKey, epoch: number, forMs: number): void {
    const line = encodeLine({ kind: 'suspect', epoch, forMs })
    const now = this.clock.monotonicMs()
    const channel = this.channels.get(key)
    if (channel === undefined) return
    channel.suspectedUntilMs = now + forMs
    for (const session of channel.sessions.values()) session.send(line, now)
  }

  withdraw(key: ProxyKey): void {
    for (const session of this.open) {
      if (session.key === key) session.close('the RedisProxy was removed')
    }
    this.channels.delete(key)
  }

  sidecars(key: ProxyKey): readonly SidecarView[] {
    const sessions = this.channels.get(key)?.sessions.values() ?? []
    return [...sessions].map((session) => session.view())
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Exchanges that are open, identified or not. */
  get sessionCount(): number {
    return this.open.size
  }

  /** Counts the session from now on; it is shown to the controller once it is identified. */
  admit(session: StreamSession): void {
    this.open.add(session)
  }

  tick(): void {
    const now = this.clock.monotonicMs()
    for (const session of this.open) session.tick(now)
  }

  closeAll(reason: string): void {
    for (const session of this.open) session.close(reason)
  }

  private identified(session: StreamSession): void {
    const id = session.id ?? ''
    const channel = this.channel(session.key)
    const former = channel.sessions.get(id)
    channel.sessions.set(id, session)
    former?.close('the same sidecar connected again')
    this.log.debug({ proxy: session.key, sidecar: id }, 'sidecar connected')
    if (channel.line !== undefined) session.send(channel.line, this.clock.monotonicMs())
    this.notify(session.key)
  }

  private closed(session: StreamSession, reason: string): void {
    this.open.delete(session)
    const channel = this.channels.get(session.key)
    const id = session.id
    if (channel === undefined || id === undefined) return
    if (channel.sessions.get(id) !== session) return
    channel.sessions.delete(id)
    if (channel.line === undefined && channel.sessions.size === 0) {
      this.channels.delete(session.key)
    }
    this.log.debug({ proxy: session.key, sidecar: id, reason }, 'sidecar disconnected')
    this.beginTogether(channel)
    this.notify(session.key)
  }

  private ready(session: StreamSession): void {
    const channel = this.channels.get(session.key)
    if (channel?.handover?.hasBegun === true) this.begin(session, channel.handover)
    else if (channel !== undefined) this.beginTogether(channel)
  }

  private answered(session: StreamSession): void {
    const channel = this.channels.get(session.key)
    if (channel !== undefined) this.beginTogether(channel)
    this.notify(session.key)
  }

  /** Clients wait from when the first sidecar begins until the last has done its part: all begin at the same time. */
  private beginTogether({ handover, sessions }: Channel): void {
    if (handover === undefined || handover.hasBegun || sessions.size === 0) return
    const all = [...sessions.values()]
    if (!all.every((session) => session.hasAnswered(handover.version))) return
    handover.hasBegun = true
    for (const session of all) this.begin(session, handover)
  }

  private begin(session: StreamSession, { version, epoch }: NonNullable<Channel['handover']>) {
    if (!session.hasAnswered(version)) return
    session.send(encodeLine({ kind: 'begin', version, epoch }), this.clock.monotonicMs())
  }

  private reported({ key }: StreamSession, isNews: boolean): void {
    const suspectedUntilMs = this.channels.get(key)?.suspectedUntilMs ?? 0
    if (isNews || this.clock.monotonicMs() < suspectedUntilMs) this.notify(key)
  }

  /** Only for the primary that is published now, for as long as is published, and while this process leads. */
  private renewed(session: StreamSession, { seq, epoch, ttlMs }: Renewal): void {
    const grantable = this.channels.get(session.key)?.grantable
    if (grantable?.epoch !== epoch || ttlMs > grantable.ttlMs || !this.mayGrant()) return
    session.send(encodeLine({ kind: 'grant', seq, epoch }), this.clock.monotonicMs())
  }

  /** What sessions call back. */
  events(): SessionEvents {
    return {
      onIdentified: (session) => this.identified(session),
      onChange: (session) => this.answered(session),
      onReady: (session) => this.ready(session),
      onReport: (session, isNews) => this.reported(session, isNews),
      onRenew: (session, renewal) => this.renewed(session, renewal),
      onClose: (session, reason) => this.closed(session, reason),
    }
  }

  private channel(key: ProxyKey): Channel {
    const known = this.channels.get(key)
    if (known !== undefined) return known
    const channel: Channel = {
      line: undefined,
      grantable: undefined,
      handover: undefined,
      suspectedUntilMs: 0,
      sessions: new Map(),
    }
    this.channels.set(key, channel)
    return channel
  }

  private notify(key: ProxyKey): void {
    for (const listener of this.listeners) listener(key)
  }
}

function grantableOf({ epoch, upstream }: ProxyConfig): Channel['grantable'] {
  const { discovery, primary, grantTtlMs } = upstream
  const isGrantable = discovery === 'operator' && primary !== undefined && grantTtlMs !== undefined
  return isGrantable ? { epoch, ttlMs: grantTtlMs } : undefined
}
