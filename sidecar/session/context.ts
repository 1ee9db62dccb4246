/** What all sessions share: the configuration in force and the parts that they use. */
import type { Clock } from '../../common/clock.ts'
import type { Limits, ProxyConfig, Timing } from '../../common/contract/proxy-config.ts'
import type { Log } from '../../common/log.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import type { Maintenance } from '../maintenance/maintenance.ts'
import type { Turn } from '../net/turn.ts'
import type { Authenticator, AuthThrottle } from '../policy/authentication.ts'
import type { CommandRules } from '../route/command-rules.ts'
import type { Backend } from '../route/backend.ts'
import type { ScriptMemory } from '../upstream/script-memory.ts'
import type { RoutePlanner } from '../route/plan.ts'
import type { MessageLog } from '../messages/message-log.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import type { HoldQueue } from './hold-queue.ts'
import type { ServerQueue } from './server-queue.ts'
import type { RestoreQueue } from './restore-queue.ts'
import type { Session } from './session.ts'
import type { Watchdog } from './watchdog.ts'

export interface SessionContext {
  readonly turn: Turn
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly counters: DataPlaneCounters
  readonly rules: CommandRules
  readonly scripts: ScriptMemory
  readonly holds: HoldQueue
  readonly restores: RestoreQueue
  /** Everyone who is connected. */
  readonly sessions: ReadonlySet<Session>
  readonly queue: ServerQueue
  readonly watchdog: Watchdog
  readonly throttle: AuthThrottle
  readonly maintenance: Maintenance
  /** The primary; of a backend with several, the one for what has no key. */
  primary: ServerConnections
  /** Where commands go that may have another server than `primary`; absent: all go there. */
  backend: Backend | undefined
  /** Finds where commands go; used by one run at a time. */
  readonly planner: RoutePlanner
  /** These change with the configuration. */
  limits: Limits
  timing: Timing
  upstream: ProxyConfig['upstream']
  /** Absent: anyone who can connect may send commands. */
  authenticator: Authenticator | undefined
  /** Whether every client has an upstream connection of its own. */
  isPerClient: boolean
  isPaused: boolean
  /** It is paused because the primary is being handed over. */
  isHandedOver: boolean
  /** While a pause begins: who is in a transaction may end it. */
  isFinishing: boolean
  hasPrimary: boolean
  /** While messages are logged. */
  messages: MessageLog | undefined
}
