/**
 * The listeners of a configuration. One that cannot be had, since its port is taken or its certificate is not
 * there yet, is tried again while the others serve.
 */
import type { Listener } from '../../common/contract/proxy-config.ts'
import { codeOf } from '../../common/errors.ts'
import { listenRetryMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { type ClientListener, listenerKey } from './listener.ts'

export interface ListenerSetModules {
  readonly log: Log
  /** A listener that is not open yet. @throws ConfigError RM_TLS_FILES */
  readonly create: (listener: Listener) => ClientListener
  /** Clients are handed over by another process, which binds. */
  readonly isUnbound?: boolean
}

export class ListenerSet {
  private readonly modules: ListenerSetModules
  private readonly open = new Map<string, ClientListener>()
  private wanted: ReadonlyMap<string, Listener> = new Map()
  private retryTimer: NodeJS.Timeout | undefined

  constructor(modules: ListenerSetModules) {
    this.modules = modules
  }

  /**
   * Opens all, or none if a port is taken or no listener has what it needs. One whose certificate is missing does
   * not keep the others from serving.
   * @throws SystemError RM_LISTEN_FAILED
   * @throws ConfigError RM_TLS_FILES, RM_CONFIG_INVALID
   */
  async start(listeners: readonly Listener[]): Promise<void> {
    this.want(listeners)
    for (const [key, listener] of this.wanted) {
      try {
        await this.add(key, listener)
      } catch (error) {
        const isLast = this.open.size === 0 && key === [...this.wanted.keys()].at(-1)
        if (codeOf(error) === 'RM_TLS_FILES' && !isLast) this.postpone(key, error)
        else {
          this.close()
          throw error
        }
      }
    }
  }

  /** Opens what is new, closes what is no longer wanted; what fails is said and tried again. */
  apply(listeners: readonly Listener[]): void {
    this.want(listeners)
    for (const [key, listener] of this.open) {
      if (this.wanted.has(key)) continue
      this.open.delete(key)
      listener.close()
    }
    this.complete()
  }

  /** Where clients can connect. */
  addresses(): readonly string[] {
    return [...this.open.values()].map((listener) => listener.address())
  }

  get(key: string): ClientListener | undefined {
    return this.open.get(key)
  }

  close(): void {
    clearTimeout(this.retryTimer)
    this.retryTimer = undefined
    this.wanted = new Map()
    for (const listener of this.open.values()) listener.close()
    this.open.clear()
  }

  private want(listeners: readonly Listener[]): void {
    this.wanted = new Map(listeners.map((listener) => [listenerKey(listener), listener]))
  }

  private complete(): void {
    for (const [key, listener] of this.wanted) {
      try {
        const present = this.open.get(key)
        if (present !== undefined) present.use(listener)
        else this.add(key, listener).catch((error: unknown) => this.postpone(key, error))
      } catch (error) {
        this.postpone(key, error)
      }
    }
  }

  private async add(key: string, listener: Listener): Promise<void> {
    const added = this.modules.create(listener)
    this.open.set(key, added)
    if (this.modules.isUnbound === true) return
    try {
      await added.open()
    } catch (error) {
      if (this.open.get(key) === added) this.open.delete(key)
      throw error
    }
  }

  private postpone(key: string, error: unknown): void {
    if (!this.wanted.has(key)) return
    this.modules.log.error({ err: error, listener: key }, 'a listener cannot be had; trying again')
    this.retryTimer ??= setTimeout(() => {
      this.retryTimer = undefined
      this.complete()
    }, listenRetryMs).unref()
  }
}
