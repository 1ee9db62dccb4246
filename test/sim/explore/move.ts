/** What a move of a small world is, and what bounds them. */
import type { World } from './types.ts'

export const budgets = [
  'crashes',
  'operatorCrashes',
  'sidecarCrashes',
  'cuts',
  'resets',
  'suspensions',
  'writes',
  'shortPauses',
  'switchovers',
] as const

/** How often each may still happen. */
export type Left = Readonly<Record<(typeof budgets)[number], number>>

export interface Cut {
  readonly name: string
  /** Directions that carry nothing any more, as pairs of nodes. */
  readonly pairs: (world: World) => readonly (readonly [number, number])[]
  readonly how?: 'refusing'
}

/** What may go wrong. */
export interface Faults {
  /** Servers that may crash, or be suspended. */
  readonly struck: readonly number[]
  readonly keeps: readonly ('kept' | 'empty')[]
  readonly restartsAs: readonly ('primary' | 'parked')[]
  readonly cuts: readonly Cut[]
  readonly suspends: readonly ('server' | 'sidecar' | 'operator')[]
  readonly shortMs: number
  /** Each server is looked at by itself, so that what is known of them is of different times. */
  readonly looksApart: boolean
  /** Nothing takes long. */
  readonly isPrompt: boolean
}

export interface Move {
  readonly name: string
  readonly run: (world: World) => void
  /** What it uses up; nothing that is so is needed for the world to come back in order. */
  readonly uses?: keyof Left
}

/** Adds a move if there is any left of what it uses. */
export type Add = (name: string, run: Move['run'], uses?: keyof Left) => void

export function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error('this world has no such part')
  return item
}
