/** What is compared: a primary, two replicas, clients on two nodes, and whoever replaces the primary. */
import type { LabServer } from '../faults/lab/index.ts'
import type { Network } from '../faults/lab/network.ts'
import type { Writers } from './writers.ts'

export interface Phases {
  /** From the fault until it is acted upon, until nobody can write to the old primary, until the next one is named. */
  readonly detectMs: number
  readonly fenceMs: number
  readonly promoteMs: number
}

export interface Contender {
  readonly name: 'respmesh' | 'sentinel'
  readonly network: Network
  readonly servers: readonly LabServer[]
  readonly writers: readonly Writers[]
  /** Whom clients are sent to. */
  primary(): Promise<LabServer>
  /** Waits until all is in order, and another fault would be acted upon at once. */
  settle(): Promise<void>
  /** Asks for a planned change of the primary. */
  switchOver(): Promise<void>
  /** Brings back a server whose process was killed. */
  restart(server: LabServer): Promise<void>
  phases(faultMs: number): Phases | undefined
  stop(): Promise<void>
}

export const writersPerNode = 4
