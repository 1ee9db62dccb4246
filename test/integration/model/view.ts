/**
 * What an operator sees of servers, with every id replaced by the order in which it came up and every offset by its
 * relations to others, so that two sets of servers that went the same way look the same.
 */
import type { ServerFacts } from '../../../operator/controller/observation.ts'

export interface Seen {
  /** Absent while there is no process. */
  readonly facts?: ServerFacts
  /** Name of the server that it follows. */
  readonly source: string
  readonly keys: readonly string[]
  /** Whole data sets that this process has sent. */
  readonly fullSyncs: number
}

/** Names of ids by when they were first seen. */
export class Names {
  private readonly known: Map<string, string>

  constructor(known: ReadonlyMap<string, string> = new Map()) {
    this.known = new Map(known)
  }

  copy(): Names {
    return new Names(this.known)
  }

  of(kind: 'process' | 'history', id: string): string {
    const name = this.known.get(id) ?? `${kind} ${this.known.size}`
    this.known.set(id, name)
    return name
  }
}

export type View = Readonly<Record<string, unknown>>

export function viewOf(all: readonly Seen[], names: Names): View {
  const view: Record<string, unknown> = {}
  for (const [index, seen] of all.entries()) view[`s${index}`] = serverView(seen, names)
  for (const [index, { facts }] of all.entries()) {
    for (const [otherIndex, { facts: other }] of all.entries()) {
      if (facts === undefined || other === undefined || index === otherIndex) continue
      const relations = { ...relate(facts, other), ...login(facts, other) }
      if (Object.keys(relations).length > 0) view[`s${index} to s${otherIndex}`] = relations
    }
  }
  return view
}

function serverView({ facts, source, keys, fullSyncs }: Seen, names: Names): unknown {
  if (facts === undefined) return 'down'
  const { guards } = facts
  return {
    process: names.of('process', facts.runId),
    role: facts.role,
    source,
    isLinkUp: facts.isLinkUp,
    isLoading: facts.isLoading,
    isSyncing: facts.isSyncing,
    history: names.of('history', facts.replId),
    formerHistory: hasFormer(facts) ? names.of('history', facts.replId2) : 'none',
    keys: [...keys].sort().join(' '),
    keyCount: facts.keyCount,
    fullSyncs,
    priority: facts.priority,
    connectedReplicas: facts.connectedReplicas,
    sourceUser: guards?.sourceUser,
    minReplicas: guards?.minReplicas,
    maxLagSeconds: (guards?.minReplicas ?? 0) > 0 && guards?.minReplicasMaxLagSeconds,
  }
}

export function hasFormer({ replId2 }: ServerFacts): boolean {
  return replId2 !== '' && !/^0+$/.test(replId2)
}

/** Offsets are compared where they are of one history. */
function relate(facts: ServerFacts, other: ServerFacts): Record<string, string> {
  const relations: Record<string, string> = {}
  if (facts.replId === other.replId) relations['offset'] = order(facts.offset, other.offset)
  if (!hasFormer(facts)) return relations
  const branch = facts.secondReplOffset - 1
  if (facts.replId2 === other.replId) relations['branch'] = order(branch, other.offset)
  if (facts.replId2 === other.replId2) {
    relations['branches'] = order(branch, other.secondReplOffset - 1)
  }
  return relations
}

/** Whether the one would let the other in. */
function login({ guards }: ServerFacts, { guards: other }: ServerFacts): Record<string, string> {
  if (guards === undefined || guards.sourceUser === '') return {}
  const isKnown = other?.replicationUsers.includes(guards.sourceUser)
  return { login: isKnown === true ? 'known' : 'unknown' }
}

function order(a: number, b: number): string {
  return a === b ? 'level' : a < b ? 'behind' : 'ahead'
}
