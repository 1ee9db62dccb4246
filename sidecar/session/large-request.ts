/**
 * A command that is too large to be gathered: it goes to the server in pieces, over a connection of its client’s
 * own, so that a slow upload delays nobody else.
 */
import { FrameStream } from '../resp/frame-stream.ts'
import type { Input } from './input.ts'
import type { PinnedLane } from '../upstream/pinned-lane.ts'

export type LargeState = 'more' | 'done' | 'error' | 'full'

export class LargeRequest {
  private readonly frame: FrameStream

  /** `argumentsLeft`: how many of its arguments have not been passed on yet. */
  constructor(argumentsLeft: number, argumentBytesMax: number) {
    this.frame = new FrameStream(argumentsLeft, argumentBytesMax)
  }

  get error(): string {
    return this.frame.error
  }

  /** Passes on what is there; `full`: the server does not take more at present. */
  advance(input: Input, lane: PinnedLane): LargeState {
    if (lane.connection.socket.writableNeedDrain) return 'full'
    const { frame } = this
    const state = frame.advance(input.bytes, input.start, input.end)
    if (frame.position > input.start) lane.enqueue(input.slice(input.start, frame.position))
    input.start = frame.position
    return state
  }
}
