/** What one node says of its cluster, and what it is worth. Pure. */
import { isUnixPath } from '../../../common/redis/url.ts'
import type { Reply } from '../../resp/decode.ts'
import type { ServerAddress } from '../../route/backend.ts'
import { type NodeEndpoint, readEndpoints } from './endpoint-list.ts'
import { type ListedNode, readNodeList } from './node-list.ts'

export interface KnownNode extends ListedNode {
  /** Where clients reach it, as far as the node that answered knows. */
  readonly address: ServerAddress | undefined
  /** Further names of the same place, which redirects may use. */
  readonly aliases: readonly ServerAddress[]
  /** `online`, `loading`, `failed`; empty where the server does not say. */
  readonly health: string
}

export interface Answer {
  /** Where it was asked for. */
  readonly asked: ServerAddress
  /** Whether that is a place that the configuration names. */
  readonly isSeed: boolean
  /** Who answered. */
  readonly self: KnownNode
  readonly nodes: readonly KnownNode[]
  /**
   * Whether it hears from most of the primaries that it knows. One that does not is cut off: what it says of the others
   * may be old, and what it decided by itself nobody else knows.
   */
  readonly isCredible: boolean
}

export interface Asked {
  readonly asked: ServerAddress
  readonly isSeed: boolean
  readonly hasTls: boolean
}

/** Undefined if these are not the answers of a node of a cluster. */
export function readAnswer(
  { asked, isSeed, hasTls }: Asked,
  list: Reply | undefined,
  shards: Reply | undefined,
): Answer | undefined {
  if (list?.kind !== 'text') return undefined
  const endpoints = readEndpoints(shards)
  const nodes = readNodeList(list.text).map((node): KnownNode => {
    const endpoint = endpoints.get(node.id)
    const addresses = addressesOf(node, { asked, endpoint, hasTls })
    const [address, ...aliases] = addresses
    return { ...node, address, aliases, health: endpoint?.health ?? '' }
  })
  const self = nodes.find(({ isSelf }) => isSelf)
  if (self === undefined) return undefined
  return { asked, isSeed, self, nodes, isCredible: isCredible(nodes) }
}

/** The address to be used first. */
function addressesOf(
  node: ListedNode,
  way: {
    readonly asked: ServerAddress
    readonly endpoint: NodeEndpoint | undefined
    readonly hasTls: boolean
  },
): ServerAddress[] {
  const { asked, endpoint, hasTls } = way
  const told = hasTls ? endpoint?.tlsPort : endpoint?.port
  const port = told === undefined || told === 0 ? node.port : told
  if (port === 0) return []
  // Without a SHARDS of its own the list is all there is; with one an empty endpoint means the host that was asked.
  const host = endpoint === undefined ? node.ip : endpoint.host
  const own = isUnixPath(asked.host) ? '' : asked.host
  const hosts = new Set([host === '' ? own : host, node.ip, node.hostname])
  hosts.delete('')
  return [...hosts].map((host) => ({ host, port }))
}

function isCredible(nodes: readonly KnownNode[]): boolean {
  const primaries = nodes.filter(({ isPrimary, ranges }) => isPrimary && ranges.length > 0)
  const heard = primaries.filter(
    ({ isSelf, isFailed, isSuspected }) => isSelf || !(isFailed || isSuspected),
  )
  return heard.length * 2 > primaries.length
}
