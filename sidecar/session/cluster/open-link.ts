/** Connections for the subscriptions of a client, beside its own. */
import { encodeCommand } from '../../resp/encode.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { Session } from '../session.ts'

/** Undefined while there is none to be had. @throws UpstreamError RM_OVERLOADED, RM_NO_PRIMARY, RM_UPSTREAM_LOST */
export async function openLink(
  session: Session,
  server: ServerConnections,
): Promise<UpstreamConnection | undefined> {
  if (!server.isReady) return undefined
  const { protocol, clientName, context } = session
  const patience = AbortSignal.timeout(context.timing.connectTimeoutMs)
  const connection = server.takeIdle(protocol) ?? (await server.openPinned(protocol, patience))
  if (clientName !== '') await connection.ask(encodeCommand(['CLIENT', 'SETNAME', clientName]), 1)
  if (session.protocol === protocol) return connection
  // It has changed meanwhile, and so would the words of messages.
  server.release(connection, false)
  return undefined
}
