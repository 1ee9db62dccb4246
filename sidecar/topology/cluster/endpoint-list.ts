/**
 * Reads `CLUSTER SHARDS`: where each node wants clients to go, and how it is. Pure; what is not understood is left out.
 */
import { clusterNodesMax } from '../../../common/limits.ts'
import type { Reply } from '../../resp/decode.ts'
import { hostOf, portOf } from './node-list.ts'

export interface NodeEndpoint {
  /** Empty: that which was asked, as far as this node knows. */
  readonly host: string
  /** 0 where it takes no such connections. */
  readonly port: number
  readonly tlsPort: number
  readonly health: string
}

/** By node id; nothing if the server does not answer such questions. */
export function readEndpoints(reply: Reply | undefined): ReadonlyMap<string, NodeEndpoint> {
  const endpoints = new Map<string, NodeEndpoint>()
  for (const shard of itemsOf(reply)) {
    for (const node of itemsOf(fieldsOf(shard).get('nodes'))) {
      if (endpoints.size >= clusterNodesMax) return endpoints
      const fields = fieldsOf(node)
      const id = textOf(fields.get('id'))
      if (id === '') continue
      endpoints.set(id, {
        host: hostOf(textOf(fields.get('endpoint'))),
        port: portOf(textOf(fields.get('port'))),
        tlsPort: portOf(textOf(fields.get('tls-port'))),
        health: textOf(fields.get('health')),
      })
    }
  }
  return endpoints
}

function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return reply?.kind === 'list' ? reply.items : []
}

function fieldsOf(reply: Reply): ReadonlyMap<string, Reply> {
  const items = itemsOf(reply)
  const fields = new Map<string, Reply>()
  for (let at = 0; at + 1 < items.length; at += 2) {
    fields.set(textOf(items[at]), items[at + 1] as Reply)
  }
  return fields
}

function textOf(reply: Reply | undefined): string {
  if (reply?.kind === 'number') return String(reply.value)
  return reply?.kind === 'text' ? reply.text : ''
}
