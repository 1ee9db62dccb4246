/** Names, clocks and the network of a world. */
import type { OperatorProcess, World } from './types.ts'

export const port = 6379
/** Wall clock of the true time 0. */
export const wallBaseMs = Date.parse('2026-01-02T03:04:05Z')

export const hostOf = (index: number) => `s${index}`
export const addressOf = (index: number) => `s${index}:${port}`
export const sidecarId = (index: number) => `p${index}`

export function indexOf(address: string | undefined): number | undefined {
  if (address === undefined || !address.startsWith('s')) return undefined
  return Number.parseInt(address.slice(1), 10)
}

/** Nodes of the network, by number: servers, sidecars, operators, and the API server last. */
export const nodeOf = {
  server: (_world: World, index: number) => index,
  sidecar: (world: World, index: number) => world.servers.length + index,
  operator: (world: World, index: number) => world.servers.length + world.sidecars.length + index,
  api: (world: World) => world.servers.length + world.sidecars.length + world.operators.length,
}

export function nodeCount(world: World): number {
  return nodeOf.api(world) + 1
}

export function nodeName(world: World, node: number): string {
  const { servers, sidecars, operators } = world
  if (node < servers.length) return `s${node}`
  if (node < servers.length + sidecars.length) return `p${node - servers.length}`
  const operator = node - servers.length - sidecars.length
  return operator < operators.length ? `o${operator}` : 'api'
}

export function carries(world: World, from: number, to: number): boolean {
  return world.cuts[from * nodeCount(world) + to] === 0
}

/** Whether a cut between two nodes answers connections with a refusal, as a firewall may. */
export function refuses(world: World, from: number, to: number): boolean {
  return world.cuts[from * nodeCount(world) + to] === 2
}

export function carriesBoth(world: World, a: number, b: number): boolean {
  return carries(world, a, b) && carries(world, b, a)
}

export function cut(world: World, from: number, to: number, how: 'silent' | 'refusing'): void {
  world.cuts[from * nodeCount(world) + to] = how === 'silent' ? 1 : 2
}

/** What the monotonic clock of a process shows. */
export function clockOf(world: World, { rate }: { readonly rate: number }): number {
  return 1_000_000 + world.nowMs * rate
}

export function wallOf(world: World, operator: OperatorProcess): number {
  return Math.floor(wallBaseMs + world.nowMs + operator.wallSkewMs)
}

export function newId(world: World, kind: 'run-' | 'hist-' | 'pass-'): string {
  world.nextId += 1
  return `${kind}${world.nextId}`
}

export function note(world: World, text: () => string): void {
  world.trace?.push(`${String(Math.round(world.nowMs)).padStart(7)} ${text()}`)
}
