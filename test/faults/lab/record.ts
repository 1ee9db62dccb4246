/**
 * The resource of a lab, kept in files as the API server keeps it: each version is a file of its own that only one
 * writer can make, so that it is a compare-and-swap between processes, and all that ever was on record stays to be read.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ProxyError } from '../../../common/errors.ts'
import type { RedisProxy, RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'

export interface RecordEntry {
  /** Wall clock of when it was written. */
  readonly atMs: number
  readonly proxy: RedisProxy
}

const form = /^record-(\d+)\.json$/

export class RecordFile {
  private readonly directory: string
  /** The newest that was seen; later ones follow without a gap. */
  private newest = 0

  constructor(directory: string) {
    this.directory = join(directory, 'records')
    mkdirSync(this.directory, { recursive: true })
  }

  create(proxy: RedisProxy): void {
    this.put(1, proxy)
  }

  /** The newest version. */
  read(): RedisProxy {
    while (existsSync(this.file(this.newest + 1))) this.newest += 1
    if (this.newest === 0) throw new Error('the lab has no record')
    return this.entry(this.newest).proxy
  }

  /** Every version, oldest first. */
  all(): readonly RecordEntry[] {
    return this.versions().map((version) => this.entry(version))
  }

  /** @throws ProxyError RM_CONFLICT if `proxy` is not the newest version */
  writeStatus(proxy: RedisProxy, status: RedisProxyStatus): RedisProxy {
    return this.replace({ ...proxy, status })
  }

  /** @throws ProxyError RM_CONFLICT */
  writeSpec(proxy: RedisProxy, spec: RedisProxy['spec']): RedisProxy {
    const generation = proxy.metadata.generation + 1
    return this.replace({ ...proxy, spec, metadata: { ...proxy.metadata, generation } })
  }

  private replace(proxy: RedisProxy): RedisProxy {
    return this.put(Number(proxy.metadata.resourceVersion) + 1, proxy)
  }

  private put(version: number, value: RedisProxy): RedisProxy {
    const metadata = { ...value.metadata, resourceVersion: String(version) }
    const proxy: RedisProxy = { ...value, metadata }
    const file = this.file(version)
    const draft = `${file}.${process.pid}`
    writeFileSync(draft, JSON.stringify({ atMs: wallMs(), proxy } satisfies RecordEntry))
    try {
      linkSync(draft, file)
      return proxy
    } catch (cause) {
      throw new ProxyError('RM_CONFLICT', 'someone else wrote first', { retryable: true, cause })
    } finally {
      rmSync(draft)
    }
  }

  private versions(): readonly number[] {
    const numbers = readdirSync(this.directory).flatMap((name) => {
      const match = form.exec(name)
      return match === null ? [] : [Number(match[1])]
    })
    return numbers.sort((a, b) => a - b)
  }

  private entry(version: number): RecordEntry {
    return JSON.parse(readFileSync(this.file(version), 'utf8')) as RecordEntry
  }

  private file(version: number): string {
    return join(this.directory, `record-${version}.json`)
  }
}

/** Finer than a millisecond, and comparable between processes of this machine. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Replaces a small file in one step. */
export function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
