/** Reads what a Sentinel answers. Pure. */
import { membersLearntMax } from '../../../common/limits.ts'
import type { Address } from '../choose-primary.ts'
import { type Reply, ReplyError } from '../reply.ts'
import type { Opinion } from './choose-by-sentinels.ts'

export interface SentinelSays extends Opinion {
  /** Who it is; absent where it cannot be asked for it. */
  readonly id?: string
  readonly replicas: readonly NamedServer[]
  readonly sentinels: readonly NamedSentinel[]
}

export interface NamedServer extends Address {
  readonly isDown: boolean
}

export interface NamedSentinel extends Address {
  readonly id: string
}

/** In the order in which `readAnswers` takes the answers. What it follows is asked after its epoch: never too new for it. */
export function sentinelQuestions(name: string): readonly (readonly string[])[] {
  return [
    ['SENTINEL', 'MASTER', name],
    ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name],
    ['SENTINEL', 'REPLICAS', name],
    ['SENTINEL', 'SENTINELS', name],
    ['SENTINEL', 'MYID'],
  ]
}

/** Undefined if it knows no such primary. */
export function readAnswers(replies: readonly Reply[]): SentinelSays | undefined {
  const [master, place, replicas, sentinels, id] = replies
  const configEpoch = Number(fieldsOf(master).get('config-epoch') ?? Number.NaN)
  const [host, port] = listOf(place)
  const primary = addressOf(host, port)
  if (primary === undefined || !Number.isSafeInteger(configEpoch)) return undefined
  return {
    primary,
    configEpoch,
    ...(typeof id === 'string' && { id }),
    replicas: listOf(replicas).slice(0, membersLearntMax).flatMap(readReplica),
    sentinels: listOf(sentinels).slice(0, membersLearntMax).flatMap(readSentinel),
  }
}

function readReplica(reply: Reply): NamedServer[] {
  const fields = fieldsOf(reply)
  const address = addressOf(fields.get('ip'), fields.get('port'))
  if (address === undefined) return []
  const flags = (fields.get('flags') ?? '').split(',')
  return [{ ...address, isDown: flags.includes('s_down') || flags.includes('o_down') }]
}

function readSentinel(reply: Reply): NamedSentinel[] {
  const fields = fieldsOf(reply)
  const address = addressOf(fields.get('ip'), fields.get('port'))
  const id = fields.get('runid')
  return address === undefined || !id ? [] : [{ ...address, id }]
}

function addressOf(host: Reply | undefined, port: Reply | undefined): Address | undefined {
  const number = typeof port === 'string' ? Number(port) : Number.NaN
  if (typeof host !== 'string' || !/^[\w.:%-]{1,253}$/.test(host)) return undefined
  return Number.isInteger(number) && number > 0 && number < 65_536
    ? { host, port: number }
    : undefined
}

/** Names and values alternate. */
function fieldsOf(reply: Reply | undefined): ReadonlyMap<string, string> {
  const items = listOf(reply)
  const fields = new Map<string, string>()
  for (let index = 0; index + 1 < items.length; index += 2) {
    const [name, value] = [items[index], items[index + 1]]
    if (typeof name === 'string' && typeof value === 'string') fields.set(name, value)
  }
  return fields
}

function listOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) && !(reply instanceof ReplyError) ? (reply as readonly Reply[]) : []
}
