export { plan } from './plan.ts'
export type { Action, Now, Plan, Snapshot, WatchedServer } from './types.ts'
