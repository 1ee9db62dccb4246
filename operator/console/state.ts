/** What the status page shows: a value made anew for each look, without credentials. */

export interface ConsoleMember {
  readonly address: string
  readonly role: string
  readonly state: string
  readonly lagBytes?: number
  readonly message?: string
  /** Of a server that we started and that runs. */
  readonly pid?: number
}

export interface ConsoleSidecar {
  readonly id: string
  readonly endpoint?: string
  readonly pid?: number
  readonly isConnected: boolean
  readonly epoch?: number
  readonly primary?: string
}

export interface ConsoleEvent {
  readonly at: string
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface ConsoleState {
  readonly name: string
  readonly endpoint?: string
  readonly ready: { readonly status: string; readonly reason: string; readonly message: string }
  readonly phase: string
  readonly epoch: number
  readonly primary?: string
  readonly members: readonly ConsoleMember[]
  readonly sidecars: readonly ConsoleSidecar[]
  readonly lastFailover?: {
    readonly from?: string
    readonly to: string
    readonly reason: string
    readonly kind?: string
    readonly completedAt: string
    /** From its beginning to its end, by the records; clients wait no longer. */
    readonly durationMs: number
    readonly lostBytes?: number
  }
  readonly events: readonly ConsoleEvent[]
  /** Whether servers can be killed and started from here. */
  readonly canAct: boolean
  /** Whether the operator can make another server a primary. */
  readonly canSwitch: boolean
}

/** What a visitor asks for. */
export interface AskedOperation {
  readonly kind: 'Switchover' | 'Promote'
  readonly to?: string
  readonly accept: readonly ('NoProof' | 'DataLoss')[]
}

export interface ConsoleOperation {
  readonly name: string
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  readonly message: string
}

export interface ConsoleSource {
  state(): ConsoleState
  onChange(listener: () => void): () => void
  /** @returns whether there was such a server to act on */
  kill(address: string): boolean
  startAgain(address: string): Promise<boolean>
  /** @returns its name; undefined if too many wait already */
  ask(operation: AskedOperation): string | undefined
  operation(name: string): ConsoleOperation | undefined
}
