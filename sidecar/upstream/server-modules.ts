/** What the connections to a server use, and whom they tell. */
import type { Clock } from '../../common/clock.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { Log } from '../../common/log.ts'
import type { Turn } from '../net/turn.ts'
import type { ConnectModules } from './connect.ts'
import type { ScriptMemory } from './script-memory.ts'

export interface ServerModules extends Omit<ConnectModules, 'heard'> {
  /** What every server is to know, shared by all of them. */
  readonly scripts: ScriptMemory
  readonly log: Log
  readonly clock: Clock
  readonly turn: Turn
  readonly random: () => number
}

export interface ServerEvents {
  /** A lane can take commands again. */
  onReady(): void
  /** There is a connection that carries no client’s commands. */
  onReserve(): void
  onViewChange(view: PrimaryView): void
  onReadOnly(): void
  /** What is known of the server is news to whoever decides about it. */
  onEvidence(): void
  /** Whether clients are owed replies over connections of their own, other than those that wait at the server. */
  owesPinned(): boolean
}
