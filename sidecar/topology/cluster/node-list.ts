/**
 * Reads `CLUSTER NODES`: what one node knows of all, with the epochs by which contradicting answers are compared. Pure;
 * a line that is not understood is left out, so that no answer can do more harm than one that says less.
 */
import { clusterNodesMax } from '../../../common/limits.ts'
import { slotCount } from '../../../common/redis/slots.ts'

export type SlotRange = readonly [first: number, last: number]

export interface ListedNode {
  readonly id: string
  /** As the node announces itself; empty while nobody knows. */
  readonly ip: string
  readonly hostname: string
  /** For connections of the kind that was asked over; 0 if it takes none of them. */
  readonly port: number
  /** The same for all nodes of a shard, where the server has that; empty otherwise. */
  readonly shardId: string
  readonly isSelf: boolean
  readonly isPrimary: boolean
  /** Of a replica. */
  readonly primaryId: string | undefined
  /** Most agree that it failed; and the node that answered has not heard of it for long. */
  readonly isFailed: boolean
  readonly isSuspected: boolean
  readonly epoch: number
  /** What it owns; what is on its way to another is still its own. */
  readonly ranges: readonly SlotRange[]
}

const idPattern = /^[0-9a-f]{40}$/
const hostPattern = /^[A-Za-z0-9._:-]{1,253}$/
const fieldsMin = 8

/** The nodes of an answer that are part of the cluster; `clusterNodesMax` at most. */
export function readNodeList(text: string): ListedNode[] {
  const nodes: ListedNode[] = []
  for (const line of text.split('\n')) {
    if (nodes.length >= clusterNodesMax) break
    const node = readLine(line.trimEnd())
    if (node !== undefined) nodes.push(node)
  }
  return nodes
}

function readLine(line: string): ListedNode | undefined {
  const fields = line.split(' ')
  if (fields.length < fieldsMin) return undefined
  const [id = '', place = '', flagList = '', primary = '', , , epochText = ''] = fields
  const flags = new Set(flagList.split(','))
  const epoch = Number(epochText)
  if (!idPattern.test(id) || !Number.isSafeInteger(epoch) || epoch < 0) return undefined
  if (flags.has('handshake')) return undefined
  const isPrimary = flags.has('master')
  if (!isPrimary && !flags.has('slave')) return undefined
  return {
    id,
    ...readPlace(place),
    isSelf: flags.has('myself'),
    isPrimary,
    primaryId: !isPrimary && idPattern.test(primary) ? primary : undefined,
    isFailed: flags.has('fail') || flags.has('noaddr'),
    isSuspected: flags.has('fail?'),
    epoch,
    ranges: isPrimary ? fields.slice(fieldsMin).flatMap(readRange) : [],
  }
}

/** `ip:port@busPort[,hostname[,name=value…]]` */
function readPlace(place: string): Pick<ListedNode, 'ip' | 'hostname' | 'port' | 'shardId'> {
  const [address = '', hostname = '', ...more] = place.split(',')
  const [front = ''] = address.split('@')
  const colon = front.lastIndexOf(':')
  const shardId = more.find((one) => one.startsWith('shard-id='))?.slice('shard-id='.length) ?? ''
  return {
    ip: hostOf(front.slice(0, Math.max(colon, 0))),
    port: portOf(front.slice(colon + 1)),
    hostname: hostOf(hostname),
    shardId: idPattern.test(shardId) ? shardId : '',
  }
}

/** `text` if a connection can be opened to it, otherwise nothing: nodes say `?` and less of what they do not know. */
export function hostOf(text: string): string {
  return hostPattern.test(text) ? text.toLowerCase() : ''
}

/** 0 if it is none. */
export function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port <= 65_535 ? port : 0
}

function readRange(text: string): SlotRange[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return []
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  return first <= last && last < slotCount ? [[first, last]] : []
}
