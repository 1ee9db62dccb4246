/** The lease, after `operator/kube/lease.ts`: a holder stops by its own clock well before another may take over. */
import { carriesBoth, clockOf, nodeOf, note } from './nodes.ts'
import type { OperatorProcess, World } from './types.ts'

/** Shorter than the real ones by the same factor, so that a change of leaders fits into a history. */
export const leaseDurationMs = 3000
export const leaseRenewDeadlineMs = 2000

export function leads(world: World, operator: OperatorProcess): boolean {
  if (world.isLeaseIgnored) return operator.isUp
  return operator.isUp && clockOf(world, operator) < operator.leadsUntilMs
}

/** One attempt to renew the lease, or to take it. */
export function renewLease(world: World, operator: OperatorProcess): void {
  const { api } = world
  const isReached = carriesBoth(world, nodeOf.operator(world, operator.index), nodeOf.api(world))
  if (!isReached) return
  const nowMs = clockOf(world, operator)
  if (operator.leaseSeen.version !== api.lease.version) {
    operator.leaseSeen = { version: api.lease.version, atMs: nowMs }
  }
  const isOurs = api.lease.holder === operator.index
  const isFree = api.lease.holder < 0 || nowMs - operator.leaseSeen.atMs >= leaseDurationMs
  if (!isOurs && !isFree) return
  if (!isOurs) note(world, () => `o${operator.index} becomes the leader`)
  api.lease = { holder: operator.index, version: api.lease.version + 1 }
  operator.leaseSeen = { version: api.lease.version, atMs: nowMs }
  operator.leadsUntilMs = nowMs + leaseRenewDeadlineMs
}
