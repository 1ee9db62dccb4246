export { plan } from './plan.ts'
export type { Action, Now, Operation, Plan, Snapshot, WatchedServer } from './types.ts'
