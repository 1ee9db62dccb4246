/** What the connections to the primary use, and whom they tell. */
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { Log } from '../../common/log.ts'
import type { Turn } from '../net/turn.ts'
import type { ConnectModules } from './connect.ts'

export interface PrimaryModules extends ConnectModules {
  readonly log: Log
  readonly turn: Turn
  readonly random: () => number
}

export interface PrimaryEvents {
  /** A lane can take commands again. */
  onReady(): void
  /** There is a connection that carries no client’s commands. */
  onReserve(): void
  onViewChange(view: PrimaryView): void
  onReadOnly(): void
}
