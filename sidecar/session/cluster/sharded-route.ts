/** What becomes of the special commands where there are several servers. */
import { encodeError } from '../../resp/encode.ts'
import { ownReplies } from '../own-replies.ts'
import { PinReason } from '../pinning.ts'
import type { Session } from '../session.ts'
import { type SpecialCommand, answerCommand, asksToBlock } from '../special.ts'
import { handleShardedClient } from './client-commands.ts'
import { answerTopology, noCluster, presentedTo } from './cluster-command.ts'
import { askAllAside } from './every-server.ts'
import { beginTransaction, endTransaction, sendBlocking, unwatch, watch } from './own-commands.ts'
import { anyServer } from './send-own.ts'
import { pinTo, shardedBackend } from './sharded.ts'
import { waitForShards } from './wait-shards.ts'

/** False: it is dealt with as with one server. */
export function routeSharded(session: Session, command: SpecialCommand): boolean {
  const handle = handlers[command.kind]
  if (handle === undefined) return false
  return handle(session, command) !== false
}

type Handler = (session: Session, command: SpecialCommand) => void | false

const handlers: Readonly<Partial<Record<SpecialCommand['kind'], Handler>>> = {
  client: handleShardedClient,
  select,
  multi: beginTransaction,
  exec: endTransaction,
  discard: endTransaction,
  watch,
  unwatch,
  blocking: sendBlocking,
  blockingIfAsked(session, command) {
    if (asksToBlock(command)) sendBlocking(session, command)
    else session.forwardRun(command.end, 1)
  },
  waiting: waitForShards,
  monitor: passRaw,
  raw: passRaw,
  connectionFlag: answerFlag,
  script(session, command) {
    if (command.word(1) === 'DEBUG') passRaw(session, command)
    else endScript(session, command)
  },
  function: endScript,
  topology: answerTopology,
}

/** A cluster has one database, and a ring is treated alike. */
function select(session: Session, command: SpecialCommand): void | false {
  if (command.argumentCount !== 2) return void session.forwardRun(command.end, 1)
  const index = command.word(1)
  if (index === '0') return answerCommand(session, command, ownReplies.ok)
  if (!/^-?(0|[1-9]\d{0,9})$/.test(index)) return answerCommand(session, command, invalidIndex)
  const isCluster = shardedBackend(session.context)?.kind === 'cluster'
  answerCommand(session, command, isCluster ? noSelect : outOfRange)
}

const invalidIndex = encodeError('ERR invalid DB index')
const outOfRange = encodeError('ERR DB index is out of range')
const noSelect = encodeError('ERR SELECT is not allowed in cluster mode')

/** Everything that passes belongs to one connection from here on. */
function passRaw(session: Session, command: SpecialCommand): void {
  const { pinning, input } = session
  if (session.holdError !== undefined) return void session.forwardRun(command.end, 1)
  if (pinning.transaction !== undefined) {
    return pinning.transaction.refuse(command.end, ownReplies.notInTransaction)
  }
  if (pinning.has(PinReason.watch)) return answerCommand(session, command, notWhileWatching)
  if (!pinTo(session, anyServer(session))) return
  if (command.name === 'MONITOR') session.raw.noteMonitor()
  pinning.add(PinReason.raw)
  pinning.lane?.enqueue(input.slice(input.start, command.end))
  input.start = command.end
  session.context.counters.commands += 1
  session.raw.noteSent(1)
}

const notWhileWatching = encodeError('ERR the command is not possible while keys are watched')

/** Reads go where the sidecar says, whatever a client that knows clusters says; ASKING is the sidecar’s own affair. */
function answerFlag(session: Session, command: SpecialCommand): void {
  if (command.argumentCount !== 1) return void session.forwardRun(command.end, 1)
  const presented = presentedTo(session) ?? 'server'
  answerCommand(session, command, presented === 'server' ? noCluster : ownReplies.ok)
}

/** One server runs it, and nobody knows which. */
function endScript(session: Session, command: SpecialCommand): void {
  const what = command.word(1)
  const isAside = command.argumentCount === 2 && session.holdError === undefined
  if (!isAside || (what !== 'KILL' && (what !== 'STATS' || command.name !== 'FUNCTION'))) {
    return void session.forwardRun(command.end, 1)
  }
  askAllAside(session, command, what === 'KILL' ? 'oneOk' : 'busy')
}
