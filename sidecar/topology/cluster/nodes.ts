/** What the answers of several nodes say of each: one description per node. Pure. */
import type { ServerAddress } from '../../route/backend.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import type { Answer, KnownNode } from './answer.ts'

export interface MergedNode {
  readonly id: string
  readonly shardId: string
  readonly address: ServerAddress | undefined
  /** Every name by which anybody knows it. */
  readonly aliases: readonly ServerAddress[]
  readonly isPrimary: boolean
  readonly primaryId: string | undefined
  readonly isFailed: boolean
  readonly health: string
}

/**
 * By id. A node’s own word on itself goes before that of others. An address that was used before is used on as long as
 * somebody names it and it leads to the node, or nobody knows better.
 */
export function mergeNodes(
  answers: readonly Answer[],
  present: (id: string) => ServerAddress | undefined,
): ReadonlyMap<string, MergedNode> {
  const told = new Map<string, KnownNode[]>()
  const askedAt = new Map<string, ServerAddress[]>()
  // Those that are cut off are heard last.
  const ordered = answers.toSorted((a, b) => Number(b.isCredible) - Number(a.isCredible))
  for (const { self, asked, nodes } of ordered) {
    askedAt.set(self.id, [...(askedAt.get(self.id) ?? []), asked])
    for (const node of nodes) {
      const known = told.get(node.id) ?? []
      if (node.isSelf) known.unshift(node)
      else known.push(node)
      told.set(node.id, known)
    }
  }
  const occupied = new Map(answers.map(({ asked, self }) => [formatHostPort(asked), self.id]))
  const isOfAnother = (id: string) => (address: ServerAddress) => {
    const other = occupied.get(formatHostPort(address))
    return other !== undefined && other !== id
  }
  const merge = (id: string, told: readonly KnownNode[]): MergedNode | undefined => {
    const [first] = told
    if (first === undefined) return undefined
    const asked = askedAt.get(id) ?? []
    return {
      id,
      shardId: first.shardId,
      isPrimary: first.isPrimary,
      primaryId: first.primaryId,
      isFailed: !first.isSelf && told.filter(({ isFailed }) => isFailed).length * 2 > told.length,
      health: first.health,
      ...placesOf({ told, asked, present: present(id), isOfAnother: isOfAnother(id) }),
    }
  }
  return new Map([...told].flatMap(([id, known]) => merge(id, known) ?? []).map((n) => [n.id, n]))
}

function placesOf(from: {
  readonly told: readonly KnownNode[]
  readonly asked: readonly ServerAddress[]
  readonly present: ServerAddress | undefined
  readonly isOfAnother: (address: ServerAddress) => boolean
}): Pick<MergedNode, 'address' | 'aliases'> {
  const { told, asked, present, isOfAnother } = from
  const announced = told.flatMap(({ address }) => address ?? [])
  const names = told.flatMap(({ address, aliases }) => [...(address ? [address] : []), ...aliases])
  const aliases = [...names, ...asked].filter((address) => !isOfAnother(address))
  const isNamed = (address: ServerAddress) => aliases.some((one) => isSame(one, address))
  const answers = (address: ServerAddress) => asked.some((one) => isSame(one, address))
  const usable = announced.filter((address) => !isOfAnother(address))
  const address =
    (present && isNamed(present) && !isOfAnother(present) ? present : undefined) ??
    usable.find(answers) ??
    usable[0] ??
    asked[0]
  return { address, aliases }
}

export function isSame(one: ServerAddress, other: ServerAddress): boolean {
  return one.host === other.host && one.port === other.port
}
