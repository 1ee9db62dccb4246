/** Views of several workers as one. */
import {
  type DataPlaneCounters,
  type DataPlaneView,
  type WorkerView,
  newCounters,
} from '../data-plane.ts'
import type { WorkerState } from './protocol.ts'

export type Sum = Omit<DataPlaneView, 'primary' | 'isPaused' | 'workerRestarts'> & {
  readonly workers: readonly WorkerView[]
}

type GrantView = NonNullable<DataPlaneView['grant']>

export const emptySum = (): Sum => ({
  counters: newCounters(),
  clients: 0,
  rawConnections: 0,
  inFlightCommands: 0,
  heldCommands: 0,
  upstreamConnections: 0,
  pinnedConnections: 0,
  workers: [],
})

/** `areGone`: of these only what they counted remains, and what they had sent is lost. */
export function addUp(
  past: Sum,
  workers: Iterable<{ readonly pid: number; readonly state: WorkerState | undefined }>,
  areGone = false,
): Sum {
  const counters: DataPlaneCounters = { ...past.counters }
  const gauges = { ...past }
  const uses = [...past.workers]
  let primaryAddress: string | undefined
  let heardAtMs: number | undefined
  const grants: GrantView[] = []
  for (const { pid, state } of workers) {
    if (state === undefined) continue
    const { view, use } = state
    for (const key of Object.keys(counters) as (keyof DataPlaneCounters)[]) {
      counters[key] += view.counters[key]
    }
    if (areGone) {
      counters.commandsLost += view.inFlightCommands
      continue
    }
    primaryAddress ??= view.primaryAddress
    heardAtMs = Math.max(heardAtMs ?? 0, view.heardAtMs ?? 0) || undefined
    if (view.grant !== undefined) grants.push(view.grant)
    uses.push({ pid, clients: view.clients, use })
    Object.assign(gauges, {
      clients: gauges.clients + view.clients,
      rawConnections: gauges.rawConnections + view.rawConnections,
      inFlightCommands: gauges.inFlightCommands + view.inFlightCommands,
      heldCommands: gauges.heldCommands + view.heldCommands,
      upstreamConnections: gauges.upstreamConnections + view.upstreamConnections,
      pinnedConnections: gauges.pinnedConnections + view.pinnedConnections,
      isDoubted: gauges.isDoubted === true || view.isDoubted === true,
      staleFiles: Math.max(gauges.staleFiles ?? 0, view.staleFiles ?? 0),
    })
  }
  return {
    ...gauges,
    counters,
    workers: uses,
    ...(primaryAddress !== undefined && { primaryAddress }),
    ...(heardAtMs !== undefined && { heardAtMs }),
    ...(grants.length > 0 && { grant: leastOf(grants) }),
  }
}

/** One that a single worker does not have is not valid. */
function leastOf(grants: readonly GrantView[]): GrantView {
  const ends = grants.flatMap(({ untilMs }) => untilMs ?? [])
  return {
    isValid: grants.every(({ isValid }) => isValid),
    ...(ends.length > 0 && { untilMs: Math.min(...ends) }),
  }
}
