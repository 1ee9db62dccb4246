/**
 * What the data path uses of Node that Node does not document, and the proof that it is there. Everything else
 * goes through this module; where something is not as expected, callers use the documented way.
 *
 * Writes: `handle.writeBuffer(null, bytes)` writes at once and gives 0, or an error, or, when the operating system
 * did not take all, the request that the event loop goes on with. Reads: a socket that was not created with
 * `onread` can be made to read into a buffer of ours, as if it had been.
 *
 * Both are tried out at the start on sockets that are connected to nothing (see docs/adr/0015).
 */
import { Socket } from 'node:net'

/** A write that the event loop goes on with; it must be kept, with its bytes, until it completes. */
export interface PendingWrite {
  handle: unknown
  buffer: unknown
  oncomplete: (status: number) => void
  /** Set if it completed before `oncomplete` was. */
  writeStatus: number | null
}

export interface StreamHandle {
  writeBuffer(request: null, bytes: Uint8Array): number | PendingWrite
  useUserBuffer(buffer: Uint8Array): void
  readStart(): number
  reading: boolean
}

type Symbols = Readonly<Record<'kBuffer' | 'kBufferCb' | 'kBufferGen', symbol>>
type OnRead = (byteCount: number, buffer: Uint8Array) => boolean
type Inside = Socket & { _handle?: StreamHandle | null } & Record<symbol, unknown>

const readSymbols = probeReads()
/** Whether sockets are written to and read from without the machinery of streams. */
export const capabilities = {
  writesDirectly: probeWrites(),
  readsInPlace: readSymbols !== undefined,
}

/** The handle to write to, or nothing: then `socket.write` is the way. */
export function writableHandle(socket: Socket): StreamHandle | undefined {
  return capabilities.writesDirectly ? plainHandle(socket) : undefined
}

/** Has `socket` read into `buffer` and call `onRead` with how much; false when it cannot be made to. */
export function readInPlace(socket: Socket, buffer: Buffer, onRead: OnRead): boolean {
  const handle = plainHandle(socket)
  if (readSymbols === undefined || handle === undefined || socket.connecting) return false
  if (socket.readableLength > 0) return false
  const inside = socket as Inside
  inside[readSymbols.kBuffer] = buffer
  inside[readSymbols.kBufferCb] = onRead
  inside[readSymbols.kBufferGen] = null
  handle.useUserBuffer(buffer)
  if (!handle.reading && !socket.isPaused()) socket.resume()
  return true
}

/** Of TCP and unix sockets; what TLS encrypts has to go through it. */
function plainHandle(socket: Socket): StreamHandle | undefined {
  if ('encrypted' in socket || socket.destroyed) return undefined
  const handle = (socket as Inside)._handle
  if (typeof handle?.writeBuffer !== 'function') return undefined
  return typeof handle.useUserBuffer === 'function' ? handle : undefined
}

/** Whether Node itself writes by giving `null` for the request and takes 0 for done. */
function probeWrites(): boolean {
  let given: unknown
  let isDone = false
  const socket = new Socket()
  try {
    const fake = {
      writeBuffer: (request: unknown) => {
        given = request
        return 0
      },
      close: () => {},
    }
    Object.assign(socket, { _handle: fake })
    socket.on('error', () => {})
    socket.write(Buffer.alloc(1), (error) => {
      isDone = error === undefined || error === null
    })
    return given === null && socket.writableLength === 0 && !isDone
  } catch {
    return false
  } finally {
    Object.assign(socket, { _handle: null })
    socket.destroy()
  }
}

/** The properties in which a socket keeps what `onread` told it. */
function probeReads(): Symbols | undefined {
  const buffer = Buffer.alloc(1)
  const callback = () => true
  const socket = new Socket({ onread: { buffer, callback } }) as Inside
  const find = (name: string, value: unknown) => {
    const found = Object.getOwnPropertySymbols(socket).find(
      ({ description }) => description === name,
    )
    return found !== undefined && socket[found] === value ? found : undefined
  }
  const kBuffer = find('kBuffer', buffer)
  const kBufferCb = find('kBufferCb', callback)
  const kBufferGen = find('kBufferGen', null)
  socket.destroy()
  if (kBuffer === undefined || kBufferCb === undefined || kBufferGen === undefined) return undefined
  return { kBuffer, kBufferCb, kBufferGen }
}
