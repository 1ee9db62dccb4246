/**
 * One map from what several nodes say. Pure.
 *
 * A slot belongs to whom a majority of the primaries says; where they differ, because news is on its way among them, to
 * the one with the highest epoch, and only if a majority answered. What a node says that is cut off from most others
 * counts for nothing: it may be old, and who was made primary behind such a cut is not yet the cluster’s.
 */
import { slotCount } from '../../../common/redis/slots.ts'
import type { Answer, KnownNode } from './answer.ts'

export interface Judgement {
  /**
   * settled: further answers can change no owner; majority: they could, but enough have answered; minority: nothing may
   * be concluded.
   */
  readonly kind: 'settled' | 'majority' | 'minority'
  /** By slot, indexes into `owners`; `nobody` where a slot has none. */
  readonly slots: Int16Array
  /** Ids of nodes that own slots. */
  readonly owners: readonly string[]
  /** The answers that belong to the cluster. */
  readonly answers: readonly Answer[]
  /** The primaries that have a say. */
  readonly electorate: ReadonlySet<string>
}

export const nobody = -1

/** `present`: ids of the primaries that were known before, by which the cluster is told from others. */
export function judge(answers: readonly Answer[], present: ReadonlySet<string>): Judgement {
  const own = choose(groups(answers), present)
  const credible = own.filter(({ isCredible }) => isCredible)
  const electorate = new Set(credible.flatMap(({ nodes }) => nodes.filter(isOwner).map(idOf)))
  const voters = distinct(credible).filter(({ self }) => electorate.has(self.id))
  const quorum = Math.floor(electorate.size / 2) + 1
  const owners = [...electorate]
  const hasMajority = electorate.size > 0 && voters.length >= quorum
  if (!hasMajority) {
    return { kind: 'minority', slots: emptySlots(), owners, answers: own, electorate }
  }
  const { slots, isSettled } = count(voters, owners, quorum)
  return { kind: isSettled ? 'settled' : 'majority', slots, owners, answers: own, electorate }
}

function idOf({ id }: KnownNode): string {
  return id
}

function isOwner({ isPrimary, ranges }: KnownNode): boolean {
  return isPrimary && ranges.length > 0
}

/** The last answer of each node. */
function distinct(answers: readonly Answer[]): readonly Answer[] {
  return [...new Map(answers.map((answer) => [answer.self.id, answer])).values()]
}

/** Answers of nodes that know each other, or someone in common. */
function groups(answers: readonly Answer[]): readonly (readonly Answer[])[] {
  const found: { ids: Set<string>; answers: Answer[] }[] = []
  for (const answer of answers) {
    const ids = new Set(answer.nodes.map(idOf))
    const group = { ids, answers: [answer] }
    for (const other of found.filter((one) => !one.ids.isDisjointFrom(ids))) {
      for (const id of other.ids) group.ids.add(id)
      group.answers.unshift(...other.answers)
      found.splice(found.indexOf(other), 1)
    }
    found.push(group)
  }
  return found.map(({ answers }) => answers)
}

/**
 * The group that has most of the primaries that were known. Nodes that know none of them are another cluster, to which
 * only the configuration can lead, not the address that a node had once.
 */
function choose(
  found: readonly (readonly Answer[])[],
  present: ReadonlySet<string>,
): readonly Answer[] {
  const kept = found.map((group) => {
    const ids = new Set(group.flatMap(({ nodes }) => nodes.map(idOf)))
    return { group, shared: present.intersection(ids).size }
  })
  const related = kept.filter(({ shared }) => shared > 0).toSorted((a, b) => b.shared - a.shared)
  if (related[0] !== undefined) return related[0].group
  const named = found.filter((group) => group.some(({ isSeed }) => isSeed))
  const owned = (group: readonly Answer[]) => group.flatMap(({ nodes }) => nodes.filter(isOwner))
  return named.toSorted((a, b) => b.length - a.length || owned(b).length - owned(a).length)[0] ?? []
}

function emptySlots(): Int16Array {
  return new Int16Array(slotCount).fill(nobody)
}

/** By slot: index into the owners. */
function claimsOf(answer: Answer, indexes: ReadonlyMap<string, number>): Int16Array {
  const slots = emptySlots()
  for (const { id, ranges } of answer.nodes) {
    const index = indexes.get(id)
    if (index === undefined) continue
    for (const [first, last] of ranges) slots.fill(index, first, last + 1)
  }
  return slots
}

function count(
  voters: readonly Answer[],
  owners: readonly string[],
  quorum: number,
): { readonly slots: Int16Array; readonly isSettled: boolean } {
  const indexes = new Map(owners.map((id, index) => [id, index]))
  const claims = voters.map((voter) => claimsOf(voter, indexes))
  const epochs = epochsOf(voters, owners, indexes)
  const slots = emptySlots()
  const votes = new Uint16Array(owners.length + 1)
  let isSettled = true
  for (let slot = 0; slot < slotCount; slot += 1) {
    let latest = nobody
    let elected: number | undefined
    for (const claimed of claims) {
      const owner = claimed[slot] as number
      const sum = ((votes[owner + 1] as number) += 1)
      if (sum >= quorum) elected = owner
      if ((epochs[owner] ?? nobody) > (epochs[latest] ?? nobody)) latest = owner
    }
    for (const claimed of claims) votes[(claimed[slot] as number) + 1] = 0
    slots[slot] = elected ?? latest
    if (elected === undefined) isSettled = false
  }
  return { slots, isSettled }
}

/** The highest that anybody knows of each. */
function epochsOf(
  voters: readonly Answer[],
  owners: readonly string[],
  indexes: ReadonlyMap<string, number>,
): readonly number[] {
  const epochs = owners.map(() => 0)
  for (const { nodes } of voters) {
    for (const { id, epoch } of nodes) {
      const index = indexes.get(id)
      if (index !== undefined && epoch > (epochs[index] as number)) epochs[index] = epoch
    }
  }
  return epochs
}
