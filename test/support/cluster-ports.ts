/**
 * Ports for nodes of clusters: below those that the kernel gives to clients, so that a node that was away finds its
 * ports free again.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const lowest = 10_240
const highest = 19_999
const triesMax = 200

const given = new Set<number>()

/** So many ports that nothing listens on; each is given once in this process. */
export async function clusterPorts(count: number): Promise<readonly number[]> {
  const found: number[] = []
  for (let tries = 0; tries < triesMax && found.length < count; tries += 1) {
    const port = randomInt(lowest, highest + 1)
    if (given.has(port)) continue
    given.add(port)
    if (await isFree(port)) found.push(port)
  }
  if (found.length < count) throw new Error(`no free ports from ${lowest} to ${highest}`)
  return found
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  const isBound = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
  })
  if (isBound) await new Promise((resolve) => probe.close(resolve))
  return isBound
}
