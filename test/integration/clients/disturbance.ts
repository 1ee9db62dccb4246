/** What happens to a cluster while clients use it: primaries change, slots move. */
import type { RedisCluster } from '../../support/cluster.ts'

/** Their slots move; keys that are looked for by SCAN are not among them, it may miss those. */
const movedKeys = ['p:1', 'p:2', 'p:3', 'load:count', 'load:other', 'queue', 'k', 'shard']

/** In rounds of one failover and some slots, from `begin` until `calm`. */
export class Disturbance {
  private readonly cluster: RedisCluster
  private running: Promise<void> | undefined
  private isEnding = false
  private rounds = 0

  constructor(cluster: RedisCluster) {
    this.cluster = cluster
  }

  begin(): Promise<void> {
    this.isEnding = false
    this.running ??= this.run()
    // It is for `calm` to tell of a failure.
    this.running.catch(() => {})
    return Promise.resolve()
  }

  /** Waits for the end of the round that is under way; there has been one. */
  async calm(): Promise<void> {
    this.isEnding = true
    const { running } = this
    this.running = undefined
    await running
  }

  private async run(): Promise<void> {
    const { cluster } = this
    do {
      await cluster.failOver(this.rounds % 3)
      for (const key of movedKeys) {
        const slot = await cluster.slotOf(key)
        const { shard } = await cluster.ownerOf(slot)
        await cluster.moveSlots(shard, (shard + 1) % 3, [slot])
        await cluster.agree()
      }
      this.rounds += 1
    } while (!this.isEnding)
    await cluster.agree()
  }
}

export const noDisturbance = { begin: () => Promise.resolve(), calm: () => Promise.resolve() }
