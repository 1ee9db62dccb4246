/** Makes one cluster of servers that have just been started: slots, replicas, and everybody knowing everybody. */
import { setTimeout as delay } from 'node:timers/promises'
import { SystemError } from '../../common/errors.ts'
import { localClusterMs } from '../../common/limits.ts'
import { slotCount } from '../../common/redis/slots.ts'
import type { Secret } from '../../common/secret.ts'
import { clusterPrimaries } from './arrangement.ts'
import { RespClient } from './resp-client.ts'

const pollMs = 50

export interface ClusterPorts {
  readonly port: number
  readonly busPort: number
}

/** @throws SystemError RM_LOCAL_START if the nodes do not become one cluster in time */
export async function formCluster(
  places: readonly ClusterPorts[],
  password: Secret | undefined,
): Promise<void> {
  const deadline = performance.now() + localClusterMs
  const nodes = await Promise.all(places.map(({ port }) => connected(port, password, deadline)))
  try {
    const primaries = clusterPrimaries(nodes.length)
    await Promise.all(
      nodes.slice(0, primaries).map((node, index) => {
        const first = Math.ceil((index * slotCount) / primaries)
        const last = Math.ceil(((index + 1) * slotCount) / primaries) - 1
        return node.call('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last))
      }),
    )
    await introduce(nodes, places)
    await agreed(nodes, `cluster_known_nodes:${nodes.length}`, deadline)
    const ids = await Promise.all(
      nodes.map(async (node) => String(await node.call('CLUSTER', 'MYID'))),
    )
    for (const [index, node] of nodes.entries()) {
      if (index >= primaries) await follow(node, ids[index % primaries] ?? '', deadline)
    }
    await agreed(nodes, 'cluster_state:ok', deadline)
  } finally {
    for (const node of nodes) node.close()
  }
}

async function introduce(
  nodes: readonly RespClient[],
  places: readonly ClusterPorts[],
): Promise<void> {
  const [first] = nodes
  for (const { port, busPort } of places.slice(1)) {
    await first?.call('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort))
  }
}

async function connected(
  port: number,
  password: Secret | undefined,
  deadline: number,
): Promise<RespClient> {
  for (;;) {
    try {
      const client = await RespClient.connect(port)
      if (password !== undefined) await client.call('AUTH', password.reveal())
      await client.call('PING')
      return client
    } catch (cause) {
      await nextLook(deadline, `the server at port ${port} does not answer`, cause)
    }
  }
}

/** A node that has not heard of its primary yet refuses to follow it. */
async function follow(node: RespClient, primaryId: string, deadline: number): Promise<void> {
  for (;;) {
    try {
      await node.call('CLUSTER', 'REPLICATE', primaryId)
      return
    } catch (cause) {
      await nextLook(deadline, 'a node of the local cluster does not follow its primary', cause)
    }
  }
}

async function agreed(nodes: readonly RespClient[], line: string, deadline: number): Promise<void> {
  for (;;) {
    const said = await Promise.all(nodes.map((node) => node.call('CLUSTER', 'INFO')))
    if (said.every((info) => String(info).split('\r\n').includes(line))) return
    await nextLook(deadline, `not every node of the local cluster says ${line}`)
  }
}

async function nextLook(deadline: number, what: string, cause?: unknown): Promise<void> {
  if (performance.now() > deadline) {
    throw new SystemError('RM_LOCAL_START', `${what} within ${localClusterMs} ms`, { cause })
  }
  await delay(pollMs)
}
