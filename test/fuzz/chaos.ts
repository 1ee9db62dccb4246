/** What happens to a cluster while programs run: slots are moved with what is in them, shards change their primary. */
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../sim/random.ts'
import type { RedisCluster } from '../support/cluster.ts'
import { type Control, Group } from './control.ts'
import { drawTags } from './profile.ts'

export type ChaosKind = 'reshard' | 'failover'
export const chaosKinds: readonly ChaosKind[] = ['reshard', 'failover']

/** How long a slot is half moved, at most, at each of its steps. */
const pauseMsMax = 20

export class ClusterChaos extends Group {
  private readonly cluster: RedisCluster
  private readonly kinds: readonly ChaosKind[]
  private readonly random = new Random(1)
  private readonly counts = { reshard: 0, failover: 0 }
  private isOver = true
  private running: Promise<void> = Promise.resolve()

  constructor(controls: readonly Control[], cluster: RedisCluster, kinds: readonly ChaosKind[]) {
    super(controls, { hasLateMessages: true })
    this.cluster = cluster
    this.kinds = kinds
  }

  began(): void {
    this.isOver = false
    this.running = this.run()
    // Whoever awaits the end is told; until then it may fail.
    this.running.catch(() => {})
  }

  async calmed(): Promise<void> {
    this.isOver = true
    await this.running
    await this.cluster.agree()
  }

  /** @throws Error if it did not happen */
  told(): string {
    const { reshard, failover } = this.counts
    if (reshard + failover === 0) throw new Error('nothing happened to the cluster meanwhile')
    return `, ${reshard} slots moved, ${failover} failovers`
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const kind = this.random.pick(this.kinds)
      const isDone = await (kind === 'reshard' ? this.reshard() : this.failOver())
      if (isDone) this.counts[kind] += 1
      else await delay(pauseMsMax)
    }
  }

  /** By agreement: a server that is made primary against the other’s will may not have all that was acknowledged. */
  private async failOver(): Promise<boolean> {
    const shard = this.random.below(3)
    if ((await this.cluster.votesDueMs(shard)) > 0) return false
    await this.cluster.failOver(shard)
    return true
  }

  /** Slowly, key by key, so that commands meet each state of it. */
  private async reshard(): Promise<boolean> {
    const { cluster, random } = this
    const slot = await cluster.slotOf(random.pick([...drawTags.ordinary, 't', 'news']))
    const owner = await cluster.ownerOf(slot)
    const to = (owner.shard + 1 + random.below(2)) % 3
    const move = await cluster.slotMove(slot, to)
    await move.open()
    await delay(random.below(pauseMsMax))
    while (await move.moveKeys(1)) await delay(random.below(3))
    await move.close()
    // Nodes that fall out about the slot are told who has it before commands give up.
    await cluster.agree()
    return true
  }
}
