/**
 * Events (`events.k8s.io/v1`), best effort: queued within bounds, written one after another, repeated ones
 * merged into a series. Nothing waits for them and their loss changes nothing.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../common/clock.ts'
import {
  eventSeriesMs,
  eventSeriesWriteMs,
  eventsKnownMax,
  eventsPendingMax,
} from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { RedisProxy } from '../api/redis-proxy.ts'
import type { EventSink, ProxyEvent } from '../controller/provider.ts'
import { isApiStatus } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { eventsPath, microTime } from './names.ts'

/** What an Event is about. */
export interface Regarding {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid?: string
}

export interface EventModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
}

interface Known {
  readonly name: string
  readonly namespace: string
  count: number
  /** Monotonic. */
  lastSeenMs: number
  lastWrittenMs: number
}

type Write =
  | { readonly kind: 'create'; readonly namespace: string; readonly body: object }
  | { readonly kind: 'series'; readonly known: Known; readonly create: object }

const noteLengthMax = 1024

export class EventRecorder implements EventSink, Stoppable {
  private readonly instance: string
  private readonly modules: EventModules
  private readonly known = new Map<string, Known>()
  private pending: Write[] = []
  private writing: Promise<void> | undefined

  constructor(options: { readonly instance: string }, modules: EventModules) {
    this.instance = options.instance
    this.modules = modules
  }

  publish(proxy: RedisProxy, event: ProxyEvent): void {
    const { namespace, name, uid } = proxy.metadata
    this.publishFor({ apiVersion: proxy.apiVersion, kind: proxy.kind, namespace, name, uid }, event)
  }

  publishFor(regarding: Regarding, event: ProxyEvent): void {
    const write = this.merge(regarding, event)
    if (write === undefined) return
    this.pending.push(write)
    if (this.pending.length > eventsPendingMax) this.pending.shift()
    this.writing ??= this.drain()
  }

  async stop(): Promise<void> {
    await this.writing
  }

  /** What is to be written, if anything; a series only now and then. */
  private merge(regarding: Regarding, event: ProxyEvent): Write | undefined {
    const now = this.modules.clock.monotonicMs()
    const { namespace } = regarding
    const key = JSON.stringify([
      regarding.uid ?? [namespace, regarding.kind, regarding.name],
      event.type,
      event.reason,
      event.action,
      event.message,
    ])
    const former = this.known.get(key)
    if (former !== undefined && now - former.lastSeenMs < eventSeriesMs) {
      former.count += 1
      former.lastSeenMs = now
      if (now - former.lastWrittenMs < eventSeriesWriteMs) return undefined
      former.lastWrittenMs = now
      return {
        kind: 'series',
        known: former,
        create: this.body(regarding, event, `${former.name}-${former.count}`),
      }
    }
    const name = `${regarding.name.slice(0, 200)}.${randomUUID()}`
    this.known.delete(key)
    this.known.set(key, { name, namespace, count: 1, lastSeenMs: now, lastWrittenMs: now })
    const oldest = this.known.keys().next().value
    if (this.known.size > eventsKnownMax && oldest !== undefined) this.known.delete(oldest)
    return { kind: 'create', namespace, body: this.body(regarding, event, name) }
  }

  private body(regarding: Regarding, event: ProxyEvent, name: string): object {
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: regarding.namespace },
      eventTime: microTime(this.modules.clock.wallMs()),
      reportingController: 'respmesh.io/operator',
      reportingInstance: this.instance.slice(0, 128),
      type: event.type,
      reason: event.reason.slice(0, 128),
      action: event.action.slice(0, 128),
      note: cut(event.message, noteLengthMax),
      regarding,
    }
  }

  /** Never rejects. */
  private async drain(): Promise<void> {
    for (;;) {
      const write = this.pending.shift()
      if (write === undefined) break
      try {
        await this.write(write)
      } catch (err) {
        this.modules.log.debug({ err }, 'an event could not be written')
      }
    }
    this.writing = undefined
  }

  private async write(write: Write): Promise<void> {
    const { client, clock } = this.modules
    const { namespace } = write.kind === 'create' ? write : write.known
    const path = eventsPath(namespace)
    if (write.kind === 'create') {
      await client.request({ method: 'POST', path, body: write.body, attemptsMax: 2 })
      return
    }
    const { name, count } = write.known
    try {
      await client.request({
        method: 'PATCH',
        path: `${path}/${name}`,
        contentType: 'application/merge-patch+json',
        body: { series: { count, lastObservedTime: microTime(clock.wallMs()) } },
        attemptsMax: 2,
      })
    } catch (error) {
      // The API server forgets Events after an hour.
      if (!isApiStatus(error, 404)) throw error
      await client.request({ method: 'POST', path, body: write.create, attemptsMax: 2 })
    }
  }
}

/** At most `max` bytes of UTF-8, whole characters. */
function cut(text: string, max: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= max) return text
  return `${bytes
    .subarray(0, max - 3)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')}…`
}
