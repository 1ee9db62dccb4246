/**
 * CLUSTER and INFO where there is a cluster: what a client is shown of it is for the configuration to say. A sidecar that
 * shows itself is a cluster of one node, at the address where its client is connected, which has all slots.
 */
import { createHash } from 'node:crypto'
import { keySlot, slotCount } from '../../../common/redis/slots.ts'
import { CommandFrame } from '../../route/command-frame.ts'
import { findTraits } from '../../route/traits.ts'
import { type Encodable, encodeError, encodeNumber, encodeValue } from '../../resp/encode.ts'
import type { Session } from '../session.ts'
import { type SpecialCommand, answerCommand } from '../special.ts'
import { shardedBackend } from './sharded.ts'

export type Presented = 'server' | 'sidecar' | 'nodes'

/** What the client is shown; undefined: there is no cluster, and its server says so. */
export function presentedTo({ context, socket }: Session): Presented | undefined {
  if (shardedBackend(context)?.kind !== 'cluster') return undefined
  const present = context.upstream.cluster?.present ?? 'server'
  // At a unix socket there is no address that a node could be at.
  return present === 'sidecar' && socket.localPort === undefined ? 'server' : present
}

export const noCluster = encodeError('ERR This instance has cluster support disabled')
const frame = new CommandFrame()

export function answerTopology(session: Session, command: SpecialCommand): void {
  const presented = presentedTo(session)
  if (command.name === 'INFO') {
    if (presented === 'server') hideCluster(session, command)
    else session.forwardRun(command.end, 1)
    return
  }
  const { input } = session
  frame.read(input.bytes, input.start, command.end)
  const traits = findTraits(frame)
  const isWhole = traits !== undefined && isCount(traits.arity, command.argumentCount)
  // What is wrong with a command, and what one node knows best, a node says.
  const isOurs = isWhole && traits.name.includes('|') && presented !== undefined
  if (!isOurs || presented === 'nodes') return void session.forwardRun(command.end, 1)
  if (presented === 'server') return answerCommand(session, command, noCluster)
  const answer = answers[command.word(1)]
  if (answer === undefined) return void session.forwardRun(command.end, 1)
  const node = nodeOf(session)
  answerCommand(session, command, answer({ session, command, node }))
}

function isCount(arity: number, count: number): boolean {
  return arity < 0 ? count >= -arity : count === arity
}

interface Node {
  readonly id: string
  readonly host: string
  readonly port: number
}

function nodeOf({ socket }: Session): Node {
  const { localAddress = '', localPort = 0 } = socket
  const host = localAddress.replace(/^::ffff:/, '')
  const id = createHash('sha1').update(`${host} ${localPort}`).digest('hex')
  return { id, host, port: localPort }
}

interface Asked {
  readonly session: Session
  readonly command: SpecialCommand
  readonly node: Node
}

const answers: Readonly<Record<string, (asked: Asked) => Buffer>> = {
  SLOTS: ({ session, node: { id, host, port } }) =>
    encode(session, [[0, slotCount - 1, [host, port, id, { pairs: [] }]]]),
  SHARDS: ({ session, node }) =>
    encode(session, [
      {
        pairs: [
          ['slots', [0, slotCount - 1]],
          ['nodes', [shardNode(node)]],
        ],
      },
    ]),
  NODES: ({ session, node: { id, host, port } }) => {
    const flags = 'myself,master - 0 0 1 connected'
    return encodeText(session, `${id} ${host}:${port}@0 ${flags} 0-${slotCount - 1}\n`)
  },
  INFO: ({ session }) => encodeText(session, `${infoLines.join('\r\n')}\r\n`),
  MYID: ({ session, node }) => encode(session, node.id),
  MYSHARDID: ({ session, node }) => encode(session, node.id),
  KEYSLOT: ({ command }) => {
    const [, , key = Buffer.alloc(0)] = command.words()
    return encodeNumber(keySlot(key, 0, key.length))
  },
  LINKS: ({ session }) => encode(session, []),
  REPLICAS: replicasOf,
  SLAVES: replicasOf,
  'COUNT-FAILURE-REPORTS': ({ command, node }) =>
    isNode(command, node) ? encodeNumber(0) : unknownNode(command),
}

function shardNode({ id, host, port }: Node): Encodable {
  return {
    pairs: [
      ['id', id],
      ['port', port],
      ['ip', host],
      ['endpoint', host],
      ['role', 'master'],
      ['replication-offset', 0],
      ['health', 'online'],
    ],
  }
}

const infoLines = [
  'cluster_enabled:1',
  'cluster_state:ok',
  `cluster_slots_assigned:${slotCount}`,
  `cluster_slots_ok:${slotCount}`,
  'cluster_slots_pfail:0',
  'cluster_slots_fail:0',
  'cluster_known_nodes:1',
  'cluster_size:1',
  'cluster_current_epoch:1',
  'cluster_my_epoch:1',
  'cluster_stats_messages_sent:0',
  'cluster_stats_messages_received:0',
]

function replicasOf({ session, command, node }: Asked): Buffer {
  return isNode(command, node) ? encode(session, []) : unknownNode(command)
}

function isNode(command: SpecialCommand, { id }: Node): boolean {
  return command.word(2).toLowerCase() === id
}

function unknownNode(command: SpecialCommand): Buffer {
  return encodeError(`ERR Unknown node ${command.words()[2]?.toString('latin1') ?? ''}`)
}

function encode({ protocol }: Session, value: Encodable): Buffer {
  return Buffer.from(encodeValue(value, protocol), 'latin1')
}

/** As servers tell text: in RESP3 they say what it is. */
function encodeText({ protocol }: Session, text: string): Buffer {
  const bulk = `$${text.length}\r\n${text}\r\n`
  return Buffer.from(protocol === 3 ? `=${text.length + 4}\r\ntxt:${text}\r\n` : bulk, 'latin1')
}

/** The words of INFO by which clients tell a cluster, as those of a server without one. */
function hideCluster(session: Session, command: SpecialCommand): void {
  const { replies } = session
  replies.rewriteNext((reply) => {
    const match = /^([$=])\d+\r\n([^]*)\r\n$/.exec(reply)
    if (match === null) return reply
    const [, type = '$', body = ''] = match
    const text = body
      .replace(/^((?:txt:)?(?:redis|server)_mode:)cluster\r$/gm, '$1standalone\r')
      .replace(/^((?:txt:)?cluster_enabled:)1\r$/gm, '$10\r')
    return `${type}${text.length}\r\n${text}\r\n`
  })
  if (session.forwardRun(command.end, 1) && session.inFlight > 0) session.wait = 'replies'
  else replies.endRewriting()
}
