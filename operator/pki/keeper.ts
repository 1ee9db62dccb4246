/**
 * Keeps the operator's certificates in a shared place and fresh. Several replicas may run this at once: each
 * write says which version it replaces, and whoever loses reads what the other wrote.
 */
import type { Clock } from '../../common/clock.ts'
import { ProxyError } from '../../common/errors.ts'
import { pkiCheckMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import { type PkiMaterial, endOf, perform, whatIsDue } from './material.ts'

export interface StoredMaterial {
  readonly material: PkiMaterial | undefined
  /** What `write` is to replace; undefined: there is nothing yet. */
  readonly version: string | undefined
}

export interface PkiStore {
  read(): Promise<StoredMaterial>
  /** False if what is stored is no longer `version`. */
  write(material: PkiMaterial, version: string | undefined): Promise<boolean>
}

export interface KeeperModules {
  readonly store: PkiStore
  readonly clock: Clock
  readonly log: Log
}

/** Steps and lost races in one go; more means that replicas disagree about what is right. */
const roundsMax = 8

/**
 * Brings what is stored up to date and returns it.
 * @throws ProxyError RM_PKI if the certificates cannot be made or agreed upon; RM_API from the store
 */
export async function ensurePki(
  dnsNames: readonly string[],
  modules: KeeperModules,
): Promise<PkiMaterial> {
  const { store, clock, log } = modules
  for (let round = 0; round < roundsMax; round += 1) {
    const { material, version } = await store.read()
    const due = whatIsDue(material, dnsNames, clock.wallMs())
    if (due === undefined && material !== undefined) return material
    const next = await make(due ?? 'everything', { material, dnsNames, nowMs: clock.wallMs() })
    const isWritten = await store.write(next, version)
    log.info({ step: due, isWritten }, 'certificates renewed')
  }
  throw new ProxyError('RM_PKI', 'the certificates do not settle; is another operator at work?', {
    retryable: true,
  })
}

async function make(
  due: NonNullable<ReturnType<typeof whatIsDue>>,
  state: {
    readonly material: PkiMaterial | undefined
    readonly dnsNames: readonly string[]
    readonly nowMs: number
  },
): Promise<PkiMaterial> {
  try {
    return await perform(due, state.material, state.dnsNames, state.nowMs)
  } catch (cause) {
    throw new ProxyError('RM_PKI', 'a certificate cannot be made', { cause })
  }
}

export class PkiKeeper implements Stoppable {
  private readonly dnsNames: readonly string[]
  private readonly modules: KeeperModules
  private readonly listeners = new Set<(material: PkiMaterial) => void>()
  private material: PkiMaterial | undefined
  private timer: NodeJS.Timeout | undefined
  private checking: Promise<void> = Promise.resolve()

  constructor(options: { readonly dnsNames: readonly string[] }, modules: KeeperModules) {
    this.dnsNames = options.dnsNames
    this.modules = modules
  }

  /** Resolves with the first certificates. @throws ProxyError RM_PKI or RM_API */
  async start(): Promise<PkiMaterial> {
    const material = await ensurePki(this.dnsNames, this.modules)
    this.material = material
    this.timer = setInterval(() => {
      this.checking = this.check()
    }, pkiCheckMs)
    this.timer.unref()
    return material
  }

  get current(): PkiMaterial | undefined {
    return this.material
  }

  /** When the serving certificate ends, milliseconds since 1970. */
  get expiryMs(): number | undefined {
    return this.material && endOf(this.material.serving.cert)
  }

  /** Calls back with new certificates. Returns the way to stop. */
  onChange(listener: (material: PkiMaterial) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  async stop(): Promise<void> {
    clearInterval(this.timer)
    await this.checking
  }

  /** Never rejects: what is served stays good for days. */
  private async check(): Promise<void> {
    try {
      const material = await ensurePki(this.dnsNames, this.modules)
      const isSame = JSON.stringify(material) === JSON.stringify(this.material)
      this.material = material
      if (isSame) return
      for (const listener of this.listeners) listener(material)
    } catch (err) {
      this.modules.log.warn({ err }, 'certificates could not be checked')
    }
  }
}
