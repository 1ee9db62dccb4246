/** One slot on its way from one primary to another, step by step as the protocol has it. */
import type { ClusterNode, NodeView, RedisCluster } from './cluster.ts'

const keysPerCall = 100
const migrateTimeoutMs = 5000

export class SlotMove {
  readonly slot: number
  readonly from: ClusterNode
  readonly to: ClusterNode
  private readonly cluster: RedisCluster

  constructor(
    cluster: RedisCluster,
    slot: number,
    ends: { readonly from: ClusterNode; readonly to: ClusterNode },
  ) {
    this.cluster = cluster
    this.slot = slot
    this.from = ends.from
    this.to = ends.to
  }

  async run(): Promise<void> {
    await this.open()
    while (await this.moveKeys()) {
      // Until there is none.
    }
    await this.close()
  }

  /** From here the source answers ASK for keys that it does not have. */
  async open(): Promise<void> {
    await this.set(this.to, 'IMPORTING', this.from.id)
    await this.set(this.from, 'MIGRATING', this.to.id)
  }

  /** Moves so many keys at most; false when there was none. */
  async moveKeys(countMax = keysPerCall): Promise<boolean> {
    const count = String(countMax)
    const keys = (await this.from.askBytes(
      'CLUSTER',
      'GETKEYSINSLOT',
      String(this.slot),
      count,
    )) as Buffer[]
    if (keys.length === 0) return false
    const { host, announcedPort } = this.to
    const place = [host, String(announcedPort), '', '0', String(migrateTimeoutMs)]
    const { password } = this.cluster
    const login = password === undefined ? [] : ['AUTH', password]
    await this.from.ask('MIGRATE', ...place, ...login, 'KEYS', ...keys)
    return true
  }

  /** The slot belongs to the target from here; the other primaries are told too. */
  async close(): Promise<void> {
    this.cluster.movedTo.set(this.slot, this.to.shard)
    await this.set(this.to, 'NODE', this.to.id)
    await this.set(this.from, 'NODE', this.to.id)
    const views = await this.to.view()
    const isPrimary = ({ id }: ClusterNode) =>
      views.some((view) => view.id === id && view.flags.includes('master'))
    for (const node of this.cluster.present) {
      if (node !== this.to && node !== this.from && isPrimary(node)) {
        await this.set(node, 'NODE', this.to.id)
      }
    }
  }

  private async set(node: ClusterNode, what: string, id: string): Promise<void> {
    await node.ask('CLUSTER', 'SETSLOT', String(this.slot), what, id)
  }
}

/**
 * Nodes of slots that were moved to and fro may each take the other for the owner, for good: an old message of one came
 * after it gave the slot away. Has the shard that was meant claim it, in an epoch that all others believe.
 */
export async function mendDisputes(
  cluster: RedisCluster,
  movedTo: ReadonlyMap<number, number>,
): Promise<void> {
  const views = await Promise.all(cluster.present.map((node) => node.view()))
  for (const [slot, shard] of movedTo) {
    const owners = views.map((view) => view.find(({ slots }) => covers(slots, slot))?.id)
    const own = new Set(cluster.nodesOf(shard).map(({ id }) => id))
    // Who of a shard has its slots is for the servers to settle: the claim of one that is deposed would undo that.
    if (owners.every((id) => id !== undefined && own.has(id))) continue
    const owner = await cluster.primaryOf(shard)
    const isPrimary = ({ id, flags }: NodeView) => id === owner.id && flags.includes('master')
    if (!views.every((view) => view.some(isPrimary))) continue
    await owner.ask('CLUSTER', 'SETSLOT', String(slot), 'NODE', owner.id)
    await owner.ask('CLUSTER', 'BUMPEPOCH')
  }
}

function covers(ranges: readonly (readonly [number, number])[], slot: number): boolean {
  return ranges.some(([first, last]) => first <= slot && slot <= last)
}
