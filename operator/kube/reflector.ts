/**
 * Keeps a copy of a list of objects: lists by pages, then watches from there with bookmarks, and goes on for
 * ever. A watch that ends is taken up where it ended; one whose version is too old (410), that cannot be read,
 * or that failed too often is listed anew. A watch that is silent too long is cut by a dead-man timer.
 *
 * The sink sees every change in order and never a gap it was not told of: after a new list it gets the whole.
 */
import type { IncomingMessage } from 'node:http'
import {
  listPageCount,
  listPagesMax,
  watchRetryMaxMs,
  watchRetryMinMs,
  watchSecondsMax,
  watchSecondsMin,
  watchSilenceMaxMs,
} from '../../common/limits.ts'
import { ProxyError } from '../../common/errors.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import { ApiError, isApiStatus } from './api-error.ts'
import { backoffMs, pause } from './backoff.ts'
import type { KubeClient } from './client.ts'
import type { KubeList, KubeObject } from './objects.ts'
import { WatchDecoder } from './watch-lines.ts'

export interface ReflectorSink<T extends KubeObject> {
  replaceAll(objects: readonly T[]): void
  put(object: T): void
  remove(object: T): void
}

export interface ReflectorOptions<T extends KubeObject> {
  /** Collection, e.g. `/api/v1/pods`. */
  readonly path: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly sink: ReflectorSink<T>
  /** For tests against a real server; default `watchSilenceMaxMs`. */
  readonly silenceMaxMs?: number
  /** Called when a watch or list is started again, with the reason in one word. */
  readonly onRestart?: (reason: RestartReason) => void
}

export type RestartReason = 'ended' | 'expired' | 'unreadable' | 'silent' | 'failed'

export interface Reflector extends Stoppable {
  /** Resolves when the first list is in; rejects only if stopped before. */
  readonly synced: Promise<void>
}

/** Failed watches in a row after which the objects are listed anew. */
const watchFailuresMax = 5

export function startReflector<T extends KubeObject>(
  options: ReflectorOptions<T>,
  modules: { readonly client: KubeClient; readonly log: Log; readonly random: () => number },
): Reflector {
  const stopping = new AbortController()
  const { promise: synced, resolve, reject } = Promise.withResolvers<void>()
  synced.catch(() => {})
  const log = modules.log.child({ path: options.path })
  const running = runForEver(
    { ...options, onSynced: resolve },
    { ...modules, log },
    stopping.signal,
  ).finally(() => reject(new ProxyError('RM_API', 'stopped before the first list was in')))
  return {
    synced,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

function selectorsOf({
  labelSelector,
  fieldSelector,
}: {
  readonly labelSelector?: string
  readonly fieldSelector?: string
}) {
  return {
    ...(labelSelector !== undefined && { labelSelector }),
    ...(fieldSelector !== undefined && { fieldSelector }),
  }
}

type RunOptions<T extends KubeObject> = ReflectorOptions<T> & { readonly onSynced: () => void }
interface Modules {
  readonly client: KubeClient
  readonly log: Log
  readonly random: () => number
}

/** Never rejects. */
async function runForEver<T extends KubeObject>(
  options: RunOptions<T>,
  modules: Modules,
  signal: AbortSignal,
): Promise<void> {
  const { log, random } = modules
  const wait = (attempt: number) =>
    pause(backoffMs(attempt, { minMs: watchRetryMinMs, maxMs: watchRetryMaxMs, random }), signal)
  // Lists that led to nothing, whether they failed or their watch ended at once.
  let fruitless = 0
  while (!signal.aborted) {
    try {
      const version = await list(options, modules.client, signal)
      options.onSynced()
      const hasProgressed = await watchFrom(version, options, { ...modules, wait, signal })
      fruitless = hasProgressed ? 0 : fruitless + 1
    } catch (err) {
      if (signal.aborted) return
      fruitless += 1
      log.warn({ err, failures: fruitless }, 'objects could not be listed; trying again')
    }
    await wait(fruitless)
  }
}

/** Reads all pages into the sink and returns the version to watch from. */
async function list<T extends KubeObject>(
  options: RunOptions<T>,
  client: KubeClient,
  signal: AbortSignal,
): Promise<string> {
  const objects: T[] = []
  let next = ''
  for (let page = 0; page < listPagesMax; page += 1) {
    const answer: KubeList<T> = await client.request<KubeList<T>>({
      method: 'GET',
      path: options.path,
      query: {
        limit: String(listPageCount),
        ...selectorsOf(options),
        ...(next !== '' && { continue: next }),
      },
      attemptsMax: 1,
      signal,
    })
    objects.push(...(answer.items ?? []))
    next = answer.metadata.continue ?? ''
    if (next === '') {
      options.sink.replaceAll(objects)
      return answer.metadata.resourceVersion ?? ''
    }
  }
  throw new ProxyError('RM_API', `${options.path} has more than ${listPagesMax} pages`)
}

/** Watches until the objects must be listed anew; says whether it saw anything. */
async function watchFrom<T extends KubeObject>(
  listed: string,
  options: RunOptions<T>,
  context: Modules & {
    readonly wait: (attempt: number) => Promise<void>
    readonly signal: AbortSignal
  },
): Promise<boolean> {
  const { log, signal, wait } = context
  const position = { version: listed }
  for (let failures = 0; !signal.aborted; ) {
    const before = position.version
    const ended = await watchOnce(position, options, context)
    if (signal.aborted) break
    options.onRestart?.(ended.reason)
    if (ended.reason === 'expired' || ended.reason === 'unreadable') {
      const level = ended.reason === 'expired' ? 'info' : 'warn'
      log[level]({ err: ended.error, reason: ended.reason }, 'watch ended; listing anew')
      break
    }
    failures = position.version === before && ended.reason !== 'ended' ? failures + 1 : 0
    log.debug({ err: ended.error, reason: ended.reason, failures }, 'watch ended; going on')
    if (failures > watchFailuresMax) break
    await wait(failures)
  }
  return position.version !== listed
}

interface Ended {
  readonly reason: RestartReason
  readonly error?: unknown
}

async function watchOnce<T extends KubeObject>(
  position: { version: string },
  options: RunOptions<T>,
  context: Modules & { readonly signal: AbortSignal },
): Promise<Ended> {
  const seconds = watchSecondsMin + (watchSecondsMax - watchSecondsMin) * context.random()
  let body: IncomingMessage
  try {
    body = await context.client.open({
      method: 'GET',
      path: options.path,
      query: {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: position.version,
        timeoutSeconds: String(Math.round(seconds)),
        ...selectorsOf(options),
      },
      signal: context.signal,
    })
  } catch (error) {
    return { reason: isApiStatus(error, 410) ? 'expired' : 'failed', error }
  }
  let isSilent = false
  const silenceMs = options.silenceMaxMs ?? watchSilenceMaxMs
  const deadMan = setTimeout(() => {
    isSilent = true
    body.destroy()
  }, silenceMs)
  try {
    const decoder = new WatchDecoder<T>()
    for await (const chunk of body) {
      deadMan.refresh()
      const ended = take(decoder.push(chunk as Buffer), position, { options, log: context.log })
      if (ended !== undefined) return ended
    }
    return { reason: isSilent ? 'silent' : 'ended' }
  } catch (error) {
    if (isSilent) return { reason: 'silent' }
    const isOurs = error instanceof ProxyError && !(error instanceof ApiError)
    return { reason: isOurs ? 'unreadable' : 'failed', error }
  } finally {
    clearTimeout(deadMan)
    body.destroy()
  }
}

function take<T extends KubeObject>(
  events: ReturnType<WatchDecoder<T>['push']>,
  position: { version: string },
  { options, log }: { options: RunOptions<T>; log: Log },
): Ended | undefined {
  for (const event of events) {
    if (event.kind === 'failed') {
      const isExpired = event.status.code === 410 || event.status.reason === 'Expired'
      return { reason: isExpired ? 'expired' : 'failed', error: new Error(event.status.message) }
    }
    if (event.kind === 'bookmark') {
      position.version = event.resourceVersion
      continue
    }
    try {
      if (event.kind === 'put') options.sink.put(event.object)
      else options.sink.remove(event.object)
    } catch (err) {
      // A fault of a listener must not blind everyone else; it is ours to mend all the same.
      log.error({ err }, 'a listener failed on a change')
    }
    position.version = event.object.metadata.resourceVersion ?? position.version
  }
  return undefined
}
