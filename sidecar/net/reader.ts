/**
 * Reads a socket without memory of its own: all that is read so goes through one buffer, and is to be dealt with, or
 * copied, before the call returns.
 */
import type { Socket } from 'node:net'
import { readInPlace } from './node-internals.ts'
import { readPace } from './read-pace.ts'
import { readBuffer } from './turn-memory.ts'

/**
 * Calls `take` with what comes over `socket`, valid during the call only. Where that cannot be had (TLS; another
 * version of Node) the stream of the socket is read, whose chunks live as long as they are used.
 */
export function readBytes(socket: Socket, take: (bytes: Buffer) => void): void {
  const onRead = (byteCount: number): boolean => {
    readPace.isBulk = false
    take(readBuffer.subarray(0, byteCount))
    const mayReadOn = !readPace.isBulk || byteCount < readBuffer.length
    return mayReadOn || readPace.mayReadOn(socket)
  }
  if (!readInPlace(socket, readBuffer, onRead)) socket.on('data', take)
}
