/**
 * SCAN over several shards: one after the other, in their order. The cursor that a client sees is the server’s times
 * `scanShardsMax` plus the number of the shard in its lowest digits, so that no state is kept and small cursors stay
 * small (clients that read them as floating-point numbers keep them exact up to 2^43 on the server’s side). 0 is the
 * beginning and the end, as ever.
 *
 * Servers count by buckets of tables, and in a cluster by slots in the low 14 bits, so that theirs are far below 2^54;
 * one that is not cannot be told to a client, and the scan fails instead of missing keys. While shards come or go, or
 * slots move, a scan may miss keys or tell them twice; a cursor of a shard that is gone is refused, so that the client
 * begins anew.
 */
import { scanShardsMax } from '../../common/limits.ts'
import type { CommandFrame } from './command-frame.ts'
import { readHeader, replyType, valueEnd } from './merge/reply-walk.ts'

/** As servers say it. */
export const invalidCursorError = '-ERR invalid cursor\r\n'

export interface ScanPlace {
  /** Place of the shard in the order of the backend’s. */
  readonly shard: number
  /** The command with that shard’s own cursor, a copy. */
  readonly bytes: Buffer
}

const factor = BigInt(scanShardsMax)
const cursorMax = 2n ** 64n - 1n

/** Where a scan goes on; undefined: the cursor is none that was told (answer `invalidCursorError`). */
export function planScan(frame: CommandFrame, shardCount: number): ScanPlace | undefined {
  const text = frame.argument(1).toString('latin1')
  if (!/^\d{1,20}$/.test(text)) return undefined
  const told = BigInt(text)
  const shard = Number(told % factor)
  if (told > cursorMax || shard >= shardCount || shardCount > scanShardsMax) return undefined
  const cursor = String(told / factor)
  const { bytes } = frame
  return {
    shard,
    bytes: Buffer.concat([
      bytes.subarray(frame.start, frame.headerStart(1)),
      Buffer.from(`$${cursor.length}\r\n${cursor}\r\n`, 'latin1'),
      bytes.subarray(frame.argumentEnd(1) + 2, frame.end),
    ]),
  }
}

/**
 * The reply of shard number `shard` as the client gets it. Errors stay as they are. Undefined: it is no reply to SCAN,
 * or its cursor is beyond what can be told.
 */
export function scanReply(reply: Buffer, shard: number, shardCount: number): Buffer | undefined {
  const head = readHeader(reply, 0)
  if (head === undefined) return undefined
  if (head.isError) return reply
  if (head.type !== replyType.list || head.count !== 2) return undefined
  const end = valueEnd(reply, head.end)
  const cursor = cursorOf(reply, head.end)
  if (end < 0 || cursor === undefined) return undefined
  const told = nextCursor(cursor, shard, shardCount)
  if (told > cursorMax) return undefined
  const text = String(told)
  return Buffer.concat([
    reply.subarray(0, head.end),
    Buffer.from(`$${text.length}\r\n${text}\r\n`, 'latin1'),
    reply.subarray(end),
  ])
}

function nextCursor(cursor: bigint, shard: number, shardCount: number): bigint {
  if (cursor !== 0n) return cursor * factor + BigInt(shard)
  return shard + 1 < shardCount ? BigInt(shard + 1) : 0n
}

function cursorOf(reply: Buffer, at: number): bigint | undefined {
  const head = readHeader(reply, at)
  if (head?.type !== replyType.bulk || head.count < 1) return undefined
  const text = reply.toString('latin1', head.end, head.end + head.count)
  return /^\d{1,20}$/.test(text) ? BigInt(text) : undefined
}
