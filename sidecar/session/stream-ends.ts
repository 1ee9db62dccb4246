/**
 * XREAD from the end of a stream on (`$`), so that it can be sent again: the end is looked up while the client waits. As
 * long as it waits nothing was added, so that the end is the one at which it began, whenever it is looked up.
 */
import { frameArguments } from '../resp/arguments.ts'
import type { Reply } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { BlockedCommand } from './command-again.ts'

type Ask = (request: Buffer) => Promise<readonly Reply[]> | undefined

/** Whether a command must be told its ends before it can be sent again. */
export function lacksEnds({ name, frame }: BlockedCommand): boolean {
  return name === 'XREAD' && frame.includes('\r\n$1\r\n$\r\n')
}

/** Puts the ends of its streams into `blocked`, if they can be had; once. */
export function learnEnds(blocked: BlockedCommand, database: number, ask: Ask): void {
  if (blocked.isLearning) return
  const words = frameArguments(blocked.frame, 0, Number.POSITIVE_INFINITY)
  const first = words.findIndex((word) => word.toString('latin1').toUpperCase() === 'STREAMS') + 1
  const count = (words.length - first) / 2
  const asked = Array.from({ length: count }, (_, index) => {
    const [key, id] = [words[first + index], words[first + count + index]]
    return key !== undefined && id?.toString('latin1') === '$'
      ? ask(endRequest(key, database))?.then(([reply]) => ({ at: first + count + index, reply }))
      : undefined
  }).filter((one) => one !== undefined)
  if (asked.length === 0) return
  blocked.isLearning = true
  const learnt = Promise.all(asked).then((ends) => {
    for (const { at, reply } of ends) {
      const id = endOf(reply)
      if (id === undefined) return
      words[at] = Buffer.from(id)
    }
    blocked.frame = encodeCommand(words)
  })
  // A connection that ended takes the command along; otherwise it is asked again.
  const settle = () => {
    blocked.isLearning = false
  }
  learnt.then(settle, settle)
}

const inDatabase = "redis.call('SELECT', ARGV[1]) return redis.call('XINFO', 'STREAM', KEYS[1])"

function endRequest(key: Buffer, database: number): Buffer {
  if (database === 0) return encodeCommand(['XINFO', 'STREAM', key])
  return encodeCommand(['EVAL', inDatabase, '1', key, String(database)])
}

function endOf(reply: Reply | undefined): string | undefined {
  // There is no such stream: it begins with what is added first.
  if (reply?.kind === 'error') return /no such key/i.test(reply.text) ? '0-0' : undefined
  const items = reply?.kind === 'list' ? reply.items : []
  const at = items.findIndex((item) => item.kind === 'text' && item.text === 'last-generated-id')
  const id = at < 0 ? undefined : items[at + 1]
  return id?.kind === 'text' ? id.text : undefined
}
