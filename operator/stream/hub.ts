/**
 * Who is connected for which RedisProxy, and the configuration each key has at present.
 * This is the `ConfigPublisher` that the controller writes to; it knows no HTTP.
 */
import type { Clock } from '../../common/clock.ts'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { encodeLine } from '../../common/contract/stream.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { ConfigPublisher, SidecarView } from '../controller/provider.ts'
import type { SessionEvents, StreamSession } from './session.ts'

interface Channel {
  /** The current configuration as the line that everyone gets: encoded once. */
  line: string | undefined
  readonly sessions: Map<string, StreamSession>
}

export class StreamHub implements ConfigPublisher {
  private readonly channels = new Map<ProxyKey, Channel>()
  private readonly open = new Set<StreamSession>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly log: Log
  private readonly clock: Clock

  constructor(modules: { readonly log: Log; readonly clock: Clock }) {
    this.log = modules.log
    this.clock = modules.clock
  }

  publish(key: ProxyKey, config: ProxyConfig): void {
    const channel = this.channel(key)
    channel.line = encodeLine({ kind: 'config', config })
    const now = this.clock.monotonicMs()
    for (const session of channel.sessions.values()) session.send(channel.line, now)
  }

  suspect(key: ProxyKey, epoch: number, forMs: number): void {
    const line = encodeLine({ kind: 'suspect', epoch, forMs })
    const now = this.clock.monotonicMs()
    for (const session of this.channels.get(key)?.sessions.values() ?? []) session.send(line, now)
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
    this.notify(session.key)
  }

  /** What sessions call back. */
  events(): SessionEvents {
    return {
      onIdentified: (session) => this.identified(session),
      onChange: (session) => this.notify(session.key),
      onClose: (session, reason) => this.closed(session, reason),
    }
  }

  private channel(key: ProxyKey): Channel {
    const known = this.channels.get(key)
    if (known !== undefined) return known
    const channel: Channel = { line: undefined, sessions: new Map() }
    this.channels.set(key, channel)
    return channel
  }

  private notify(key: ProxyKey): void {
    for (const listener of this.listeners) listener(key)
  }
}
