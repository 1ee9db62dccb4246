/** The sidecar’s state as one value, for `/status`, the page and the metrics. */
import type { PrimaryStatus } from '../control/evidence.ts'
import type { StreamView } from '../control/stream-client.ts'
import type { DataPlaneCounters, WorkerView } from '../data-plane.ts'
import type { Health } from './health.ts'

export interface Status {
  readonly version: string
  readonly source: 'standalone' | 'file' | 'stream'
  readonly ready: Health
  readonly started: Health
  readonly isPaused: boolean
  readonly primary: PrimaryStatus
  readonly config?: {
    readonly proxy: string
    readonly epoch: number
    readonly version: number
    readonly appliedAt: string
  }
  readonly stream?: StreamView
  readonly listeners: readonly string[]
  readonly clients: number
  readonly rawConnections: number
  readonly inFlightCommands: number
  readonly heldCommands: number
  readonly upstreamConnections: number
  readonly pinnedConnections: number
  readonly memoryBytesMax?: number
  /** Where there are several. */
  readonly workers?: readonly WorkerView[]
  readonly counters: Readonly<DataPlaneCounters>
}
