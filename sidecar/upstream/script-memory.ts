/**
 * Scripts that clients loaded, so that another server process can be given them before any client’s command is
 * sent to it: EVALSHA works after a restart and a failover as it did before, in a transaction too, and nothing has
 * to be repeated. What a client has the server forget (SCRIPT FLUSH) is forgotten here.
 *
 * Bounded in bytes: the oldest are forgotten, those that were only run (EVAL) apart from those that were loaded.
 */
import { createHash } from 'node:crypto'
import { loadedScriptBytesMax, runScriptBytesMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { UpstreamConnection } from './connection.ts'

class Bodies {
  readonly all = new Set<string>()
  private readonly bytesMax: number
  private byteCount = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  add(body: string): void {
    if (this.all.has(body) || body.length > this.bytesMax) return
    this.all.add(body)
    this.byteCount += body.length
    for (const oldest of this.all) {
      if (this.byteCount <= this.bytesMax) return
      this.all.delete(oldest)
      this.byteCount -= oldest.length
    }
  }

  clear(): void {
    this.all.clear()
    this.byteCount = 0
  }
}

export class ScriptMemory {
  private readonly loaded = new Bodies(loadedScriptBytesMax)
  private readonly run = new Bodies(runScriptBytesMax)

  /** A client loads `body`, latin1. */
  noteLoaded(body: string): void {
    this.loaded.add(body)
  }

  /** A client runs `body`, which has the server know it too. */
  noteRun(body: string): void {
    this.run.add(body)
  }

  forget(): void {
    this.loaded.clear()
    this.run.clear()
  }

  /** Has the process at the other end know them all. @throws UpstreamError RM_UPSTREAM_LOST */
  async teach(connection: UpstreamConnection, signal: AbortSignal): Promise<void> {
    const bodies = [...new Set([...this.loaded.all, ...this.run.all])]
    if (bodies.length === 0) return
    const end = () => connection.destroy()
    signal.addEventListener('abort', end)
    try {
      await loadMissing(connection, bodies)
    } finally {
      signal.removeEventListener('abort', end)
    }
  }
}

async function loadMissing(
  connection: UpstreamConnection,
  bodies: readonly string[],
): Promise<void> {
  const hashes = bodies.map((body) => createHash('sha1').update(body, 'latin1').digest('hex'))
  const [exists] = await connection.ask(encodeCommand(['SCRIPT', 'EXISTS', ...hashes]), 1)
  if (exists?.kind !== 'list') return
  const missing = bodies.filter((_body, index) => {
    const item = exists.items[index]
    return item?.kind === 'number' && item.value === 0
  })
  if (missing.length === 0) return
  const commands = missing.map((body) => encodeCommand(['SCRIPT', 'LOAD', body]))
  await connection.ask(Buffer.concat(commands), commands.length)
}
