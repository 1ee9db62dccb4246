/** Versions of configurations: what a sidecar obeys within an epoch never goes back. Pure. */
import type { SidecarView } from './provider.ts'

/**
 * The newest version of `epoch` that a sidecar obeys; 0: none. It may be of another controller, whose clock is ahead of
 * ours: anything older would be refused, for as long as nothing else changes.
 */
export function newestObeyed(sidecars: readonly SidecarView[], epoch: number): number {
  const obeyed = sidecars.map(({ acked }) => (acked?.epoch === epoch ? acked.version : 0))
  return Math.max(0, ...obeyed)
}

/** One that every sidecar takes. */
export function nextVersion(known: {
  readonly published: number | undefined
  readonly obeyed: number
  readonly wallMs: number
}): number {
  return Math.max((known.published ?? 0) + 1, known.obeyed + 1, Math.floor(known.wallMs))
}
