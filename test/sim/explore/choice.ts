/** Who may be chosen, from what an operator saw: an oracle of its own, however the plan comes to its choice. */
import type { ServerFacts } from '../../../operator/controller/observation.ts'
import type { Plan, Snapshot } from '../../../operator/controller/plan/types.ts'
import { Violation, type World } from './types.ts'

interface Seen {
  readonly address: string
  readonly facts: ServerFacts
}

/** When a target is recorded in a failover: nobody who was parked and answered was the better choice. */
export function checkChoice(world: World, seen: Snapshot, { status }: Plan): void {
  const { intent } = status
  const former = seen.proxy.status?.intent
  if (intent?.target === undefined || former === undefined) return
  if (intent.kind === 'Switchover' || former.target !== undefined) return
  if (seen.operation?.kind === 'Promote') return
  const parked = seen.servers.flatMap(({ address, isListed, observation: { state } }): Seen[] => {
    const isParked = state.kind === 'up' && state.facts.source?.port === 1
    return isListed && isParked ? [{ address, facts: state.facts }] : []
  })
  const history = intent.fromReplId ?? ''
  const chosen = parked.find(({ address }) => address === intent.target)
  if (chosen === undefined) throw new Violation('choice', `${intent.target} was not seen parked`)
  const own = reached(history, chosen.facts)
  const ahead = parked.find(({ facts }) => (reached(history, facts) ?? -1) > (own ?? -1))
  const isKept = own === undefined && world.profile.waitReplicas > 0
  if (ahead !== undefined && !isKept) {
    throw new Violation('choice', `${intent.target} is chosen, and ${ahead.address} has more`)
  }
  const fullest = Math.max(...parked.map(({ facts }) => facts.keyCount))
  if (own === undefined && chosen.facts.keyCount * 2 < fullest) {
    throw new Violation('choice', `${intent.target} is chosen and has hardly any data`)
  }
}

function reached(history: string, facts: ServerFacts): number | undefined {
  if (facts.isLoading || facts.isSyncing) return undefined
  if (facts.replId === history) return facts.offset
  if (facts.replId2 === history) return Math.min(facts.offset, facts.secondReplOffset - 1)
  return undefined
}
