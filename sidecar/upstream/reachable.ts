/** Whether the machine of a server is there at all. */
import { once } from 'node:events'
import { createConnection } from 'node:net'
import type { Target } from './connect.ts'

/** Whether a new connection is accepted: by the kernel of the server’s machine, even if the server is busy. */
export async function isReachable(target: Target): Promise<boolean> {
  const { host, port } = target.server
  const isPath = host.startsWith('/')
  const socket = createConnection(isPath ? { path: host } : { host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(target.connectTimeoutMs) })
    return true
  } catch {
    return false
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
}
