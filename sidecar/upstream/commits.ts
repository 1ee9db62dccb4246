/** Whether and how writes wait for replicas: the rule, and a gate for each connection to a primary. */
import type { Clock } from '../../common/clock.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { CommitGate, type CommitRule } from './commit-gate.ts'
import type { Target } from './connect.ts'
import type { UpstreamConnection } from './connection.ts'

interface CommitsModules {
  readonly counters: DataPlaneCounters
  readonly clock: Clock
}

export class Commits {
  private readonly rule: CommitRule = { waitReplicas: 1, waitTimeoutMs: 1 }
  private readonly modules: CommitsModules

  constructor(modules: CommitsModules) {
    this.modules = modules
  }

  /** Goes by `rule` from the next write on. Where there was none, or is none any more, connections are opened anew. */
  use(rule: CommitRule | undefined): void {
    if (rule !== undefined) Object.assign(this.rule, rule)
  }

  /** Has replies to writes over `connection` wait, if those of its server do. Before it has an owner. */
  guard(connection: UpstreamConnection, { confirmsWrites }: Target): void {
    if (confirmsWrites !== true) return
    const { counters, clock } = this.modules
    const modules = { rule: this.rule, counters, nowMs: () => clock.monotonicMs() }
    connection.gate = new CommitGate(modules, connection.protocol, () => connection.destroy())
  }
}
