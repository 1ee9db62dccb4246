/** What happens to a cluster while replies are counted. */
import { setTimeout as delay } from 'node:timers/promises'
import type { RedisCluster } from '../../support/cluster.ts'
import type { Random } from '../fuzz/random.ts'

const shards = [0, 1, 2] as const
const disturbEveryMs = 300
const stoppedMs = 200

/** Ends connections, stops servers, moves slots and changes primaries; how often. */
export async function disturb(cluster: RedisCluster, random: Random, isOver: () => boolean) {
  const done = { kills: 0, stops: 0, moves: 0, failovers: 0 }
  for (let round = 1; !isOver(); round += 1) {
    await delay(disturbEveryMs)
    const shard = random.pick(shards)
    const node = await cluster.primaryOf(shard)
    if (round % 9 === 0) {
      done.failovers += 1
      await cluster.failOver(shard)
    } else if (round % 4 === 0) {
      done.moves += 1
      await cluster.moveSlots(shard, (shard + 1) % 3, 20)
    } else if (round % 4 === 1) {
      done.stops += 1
      node.server.signal('SIGSTOP')
      await delay(stoppedMs)
      node.server.signal('SIGCONT')
    } else {
      done.kills += 1
      await node.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
  }
  return done
}
