/** Whether everything that `respmesh up` started can be used, and if not, why. */
import type { LocalWorld } from '../../operator/local/index.ts'

/** Undefined: it is ready. A sidecar listens once it has acknowledged its first configuration. */
export function obstacleOf(world: LocalWorld): string | undefined {
  const ready = world.proxy().status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status !== 'True') return ready?.message ?? 'nothing was observed yet'
  const views = world.sidecarViews().filter(({ acked }) => acked !== undefined)
  const served = new Set(views.map(({ id }) => id))
  const waiting = world.sidecars().filter(({ id }) => !served.has(id))
  if (waiting.length === 0) return undefined
  return `${waiting.map(({ id }) => id).join(', ')} has no configuration yet`
}
