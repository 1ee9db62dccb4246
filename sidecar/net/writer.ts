/**
 * The writing side of one socket. What the operating system takes at once costs one call of it and nothing else;
 * what it does not take waits, in order, and is counted. Where Node cannot be told to do so (TLS; another version
 * of Node, see `node-internals.ts`) the stream of the socket does the same.
 *
 * All that is written to a socket goes through its one writer, or the order of bytes is lost.
 */
import type { Socket } from 'node:net'
import { chunkPool } from './chunk-pool.ts'
import { type StreamHandle, writableHandle } from './node-internals.ts'
import { compactBytes, ownBytes, turnMemory } from './turn-memory.ts'

export class SocketWriter {
  /** Called when nothing waits any more after `isFull`. */
  onDrain: () => void = () => {}
  private readonly socket: Socket
  private readonly handle: StreamHandle | undefined
  private waitingBytes = 0
  private isOverMark = false

  constructor(socket: Socket) {
    this.socket = socket
    this.handle = writableHandle(socket)
    if (this.handle === undefined) socket.on('drain', () => this.onDrain())
  }

  /** Bytes that the operating system has not taken yet. */
  get backlogBytes(): number {
    return this.handle === undefined ? this.socket.writableLength : this.waitingBytes
  }

  /** Whether so much waits that no more should be written before `onDrain`. */
  get isFull(): boolean {
    return this.handle === undefined ? this.socket.writableNeedDrain : this.isOverMark
  }

  /**
   * Writes `bytes`, which may be of this turn only. False if they are kept: their memory must then not be used
   * before `onDone`, which may never be called.
   */
  write(bytes: Buffer, onDone?: () => void): boolean {
    const { socket, handle } = this
    if (socket.destroyed || socket.writableEnded) return true
    if (handle === undefined) {
      socket.write(socket.writableLength > 0 ? compactBytes(bytes) : ownBytes(bytes))
      return socket.writableLength === 0
    }
    const kept = this.waitingBytes > 0 && onDone === undefined ? compactBytes(bytes) : bytes
    const result = handle.writeBuffer(null, kept)
    if (result === 0) return true
    if (typeof result === 'number') {
      socket.destroy()
      return true
    }
    // Nobody knows how much of it was taken, so that all of it is taken for waiting.
    turnMemory.leave(kept)
    this.waitingBytes += kept.length
    if (this.waitingBytes >= socket.writableHighWaterMark) this.isOverMark = true
    result.handle = handle
    result.buffer = kept
    result.oncomplete = (status) => {
      onDone?.()
      this.complete(kept.length, status)
    }
    const { writeStatus } = result
    if (writeStatus !== null) {
      result.writeStatus = null
      result.oncomplete(writeStatus)
    }
    return false
  }

  /** Writes `bytes`, which are valid during this call only and not more than a read gives. */
  writeLent(bytes: Buffer): void {
    if (this.handle === undefined) {
      this.write(bytes)
      return
    }
    const copy = chunkPool.copy(bytes)
    const giveBack = () => chunkPool.giveBack(copy)
    if (this.write(copy, giveBack)) giveBack()
  }

  private complete(byteCount: number, status: number): void {
    const { socket } = this
    this.waitingBytes -= byteCount
    if (socket.destroyed) return
    if (status < 0) {
      socket.destroy()
      return
    }
    if (this.waitingBytes > 0 || !this.isOverMark) return
    this.isOverMark = false
    this.onDrain()
  }
}
