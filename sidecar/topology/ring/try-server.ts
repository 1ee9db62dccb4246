/** Whether a server can be used: a connection of its own, made as those of clients are, and ended at once. */
import { newCounters } from '../../data-plane.ts'
import type { UpstreamAccess } from '../../upstream/access.ts'
import { type Target, connectServer } from '../../upstream/connect.ts'

/** Takes as long as a connection may at most. Never rejects. */
export async function tryServer(target: Target, access: UpstreamAccess): Promise<boolean> {
  const modules = { access, counters: newCounters(), heard: { bytes: 0 } }
  const signal = AbortSignal.timeout(target.connectTimeoutMs)
  try {
    const { connection } = await connectServer(target, 2, modules, signal)
    connection.destroy()
    return true
  } catch {
    return false
  }
}
