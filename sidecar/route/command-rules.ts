/** What the sidecar goes by when it looks at the name of a command: the table, the policy and what the server told. */
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../common/clock.ts'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { commandKind, isContainerCommand } from '../../common/redis/command-table.ts'
import { CommandPolicy } from '../policy/command-policy.ts'
import type { NameFilter } from '../resp/request-scanner.ts'
import { type LiveCommand, LiveCommands, type LiveCommandsModules } from './live-commands.ts'
import { createNameFilter, fillNameFilter } from './name-filter.ts'
import { nameMarks } from './name-marks.ts'

export class CommandRules {
  /** Changed in place; who scans with it goes by it from the next command on. */
  readonly filter: NameFilter = createNameFilter()
  readonly live: LiveCommands
  policy = new CommandPolicy(undefined)
  private used: ProxyConfig['commands']
  private marks: ReadonlyMap<string, number> | undefined

  constructor(clock: Clock, ask: LiveCommandsModules['ask']) {
    this.live = new LiveCommands({ ask, clock, onChange: () => this.fill() })
    this.fill()
  }

  /** Obeys the lists of a configuration, for clients that are connected too. */
  use(config: ProxyConfig['commands']): void {
    // Most configurations change something else, and some while everybody waits for it.
    if (isDeepStrictEqual(config, this.used)) return
    this.used = config
    this.policy = new CommandPolicy(config)
    this.fill()
  }

  /** What is known of an upper-case name as it was written. */
  find(written: string): LiveCommand {
    const kind = commandKind(written)
    const told = kind === undefined ? this.live.find(written) : undefined
    if (told !== undefined) return told
    return { name: written, kind, isContainer: isContainerCommand(written), isAdmin: false }
  }

  /** Whether scans tell what kinds of names they passed over. */
  get tellsApart(): boolean {
    return this.marks !== undefined
  }

  /** Has the scans that begin from now on tell it, for whoever has several servers. */
  tellApart(): void {
    if (this.marks !== undefined) return
    this.marks = nameMarks()
    this.fill()
  }

  private fill(): void {
    fillNameFilter(this.filter, this.policy, this.live.ordinaryNames(), this.marks)
  }
}
