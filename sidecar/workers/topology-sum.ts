/**
 * Topologies of several workers as one. Each worker learns for itself; what they share is one backend, so that the one
 * with the newest version tells which servers there are, and the others add what they use and what they find amiss.
 */
import type { MemberView, TopologyView } from '../topology/view.ts'

export function addTopologies(views: readonly TopologyView[]): TopologyView | undefined {
  const [first, ...rest] = views.toSorted((a, b) => b.version - a.version)
  if (first === undefined || rest.length === 0) return first
  const same = rest.map(membersOf)
  return {
    ...first,
    shards: first.shards.map((shard) => ({
      ...shard,
      members: shard.members.map((member) => {
        const others = same.flatMap((members) => members.get(member.address) ?? [])
        return others.reduce(addMember, member)
      }),
    })),
    slotsUncovered: Math.max(...views.map((view) => view.slotsUncovered)),
    ...(first.looks !== undefined && { looks: sum(views, (view) => view.looks ?? 0) }),
    ...(first.looksFailed !== undefined && {
      looksFailed: sum(views, (view) => view.looksFailed ?? 0),
    }),
  }
}

function membersOf({ shards }: TopologyView): ReadonlyMap<string, MemberView> {
  return new Map(shards.flatMap(({ members }) => members.map((one) => [one.address, one])))
}

/** One that a single worker cannot use is not in order. */
function addMember(member: MemberView, other: MemberView): MemberView {
  const isWorse = member.isFit && !other.isFit
  return {
    ...member,
    ...(isWorse && { state: other.state, isFit: false }),
    ...(isWorse && other.reason !== undefined && { reason: other.reason }),
    ...larger('lagBytes', member, other),
    ...larger('lagSeconds', member, other),
    ...larger('latencyMs', member, other),
    inFlightCommands: member.inFlightCommands + other.inFlightCommands,
    connections: member.connections + other.connections,
    commandsSent: member.commandsSent + other.commandsSent,
  }
}

function larger(
  name: 'lagBytes' | 'lagSeconds' | 'latencyMs',
  one: MemberView,
  other: MemberView,
): Partial<MemberView> {
  const values = [one[name], other[name]].filter((value) => value !== undefined)
  return values.length === 0 ? {} : { [name]: Math.max(...values) }
}

function sum(views: readonly TopologyView[], read: (view: TopologyView) => number): number {
  return views.reduce((total, view) => total + read(view), 0)
}
