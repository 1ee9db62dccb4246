/** Commands that wait at a server, as they are sent again when they came back with nothing taken. */
import { frameArguments } from '../resp/arguments.ts'
import { encodeCommand } from '../resp/encode.ts'

export interface BlockedCommand {
  readonly name: string
  frame: Buffer
  readonly sinceMs: number
  isCalledBack: boolean
  /** The ends of its streams are being looked up. */
  isLearning?: boolean
}

/** The command with what is left of its time; undefined if it would not mean the same later. */
export function commandAgain(blocked: BlockedCommand, nowMs: number): Buffer | undefined {
  const words = frameArguments(blocked.frame, 0, Number.POSITIVE_INFINITY)
  const texts = words.map((word) => word.toString('latin1'))
  const isStream = blocked.name.startsWith('XREAD')
  // From its end on: what is added until then would be missed.
  if (isStream && texts.includes('$')) return undefined
  const at = isStream
    ? texts.findIndex((text) => text.toUpperCase() === 'BLOCK') + 1
    : timeoutAt(blocked.name, words.length)
  const timeout = Number(texts[at])
  if (timeout === 0) return blocked.frame
  if (!Number.isFinite(timeout) || timeout < 0) return undefined
  const unitMs = isStream ? 1 : 1000
  const leftMs = Math.max(1, Math.ceil(timeout * unitMs - (nowMs - blocked.sinceMs)))
  words[at] = Buffer.from(String(leftMs / unitMs))
  return encodeCommand(words)
}

function timeoutAt(name: string, wordCount: number): number {
  return name === 'BLMPOP' || name === 'BZMPOP' ? 1 : wordCount - 1
}
