/**
 * The Lease of a lab, kept in files: each version is one of its own that only one writer can make. Electors ask it as
 * they ask the API server.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ApiError } from '../../../operator/kube/api-error.ts'
import type { KubeClient, KubeRequest } from '../../../operator/kube/client.ts'
import type { LeaseObject, LeaseSpec } from '../../../operator/kube/lease.ts'

export const leaseName = 'lab'

export class LeaseFile implements Pick<KubeClient, 'find' | 'request'> {
  private readonly directory: string
  private newest = 0

  constructor(directory: string) {
    this.directory = join(directory, 'leases')
    mkdirSync(this.directory, { recursive: true })
  }

  /** Who had it last. */
  get holder(): string | undefined {
    return this.read()?.spec?.holderIdentity
  }

  async find<T>(): Promise<T | undefined> {
    return this.read() as T | undefined
  }

  async request<T>({ method, body }: KubeRequest): Promise<T> {
    const { metadata, spec } = body as LeaseObject
    const former = method === 'POST' ? 0 : Number(metadata.resourceVersion)
    return this.put(former + 1, spec) as T
  }

  private read(): LeaseObject | undefined {
    while (existsSync(this.file(this.newest + 1))) this.newest += 1
    if (this.newest === 0) return undefined
    return JSON.parse(readFileSync(this.file(this.newest), 'utf8')) as LeaseObject
  }

  private put(version: number, spec: LeaseSpec | undefined): LeaseObject {
    const lease: LeaseObject = {
      metadata: { name: leaseName, resourceVersion: String(version) },
      ...(spec && { spec }),
    }
    const draft = join(this.directory, `draft-${process.pid}`)
    writeFileSync(draft, JSON.stringify(lease))
    try {
      linkSync(draft, this.file(version))
      return lease
    } catch (cause) {
      const message = 'someone else wrote first'
      throw new ApiError({ code: 'RM_CONFLICT', message, status: 409, isRetryable: true, cause })
    } finally {
      rmSync(draft)
    }
  }

  private file(version: number): string {
    return join(this.directory, `lease-${version}.json`)
  }
}
