/** What is shown of a backend all of whose commands go to one primary: nothing is learnt of its other servers. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { ServerConnections } from '../upstream/server-connections.ts'
import { type MemberView, type TopologyView, memberState } from './view.ts'

export function viewPlain(
  { upstream, epoch }: ProxyConfig,
  server: ServerConnections,
): TopologyView {
  const { address } = server
  const state = memberState(server)
  const primary: MemberView[] =
    address === undefined
      ? []
      : [
          {
            address,
            role: 'primary',
            state,
            isFit: state === 'ready',
            ...(state !== 'ready' && { reason: state }),
            inFlightCommands: server.inFlightCommands,
            connections: server.connectionCount,
            commandsSent: server.load.commandCount,
          },
        ]
  const others = upstream.members
    .filter((member) => formatHostPort(member) !== address)
    .map(({ zone, role, ...member }): MemberView => {
      return {
        address: formatHostPort(member),
        ...(zone !== undefined && { zone }),
        role: role === 'primary' ? 'unknown' : role,
        state: 'connecting',
        isFit: false,
        reason: 'unused',
        inFlightCommands: 0,
        connections: 0,
        commandsSent: 0,
      }
    })
  return {
    kind: upstream.mode === 'standalone' ? 'standalone' : 'replication',
    version: epoch,
    splitsReads: false,
    shards: [{ id: 'all', members: [...primary, ...others] }],
    slotsUncovered: 0,
  }
}
