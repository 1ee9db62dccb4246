/** What the connections to a server use, and whom they tell. */
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { Log } from '../../common/log.ts'
import type { Turn } from '../net/turn.ts'
import type { ConnectModules } from './connect.ts'
import type { ScriptMemory } from './script-memory.ts'

export interface ServerModules extends Omit<ConnectModules, 'heard'> {
  /** What every server is to know, shared by all of them. */
  readonly scripts: ScriptMemory
  readonly log: Log
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
}
