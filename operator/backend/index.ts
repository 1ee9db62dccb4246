/** Looking at servers and changing their roles; the only user of the Redis client in the control plane. */
export type { ServerCredentials, ServerTarget, ServerTls } from './connection.ts'
export type { Backend, Source, WatchedMember } from './backend.ts'
export { Prober } from './prober.ts'
export { parseInfo } from './info.ts'
