/** Looking at servers and changing their roles; the only user of the Redis client in the control plane. */
export type { ServerCredentials, ServerTarget, ServerTls } from './connection.ts'
export { type Backend, Prober, type Source, type WatchedMember } from './prober.ts'
export { parseInfo } from './info.ts'
