/** One line of the result: a check, what came of it, and what was aimed at. */

export interface Row {
  /** As in `docs/reference/failover-figures.md`. */
  readonly id: string
  readonly what: string
  readonly figure: string
  readonly aim: string
  readonly isMet: boolean
}

export function rowLine({ id, what, figure, aim, isMet }: Row, seed: number): string {
  return `${isMet ? 'met   ' : 'MISSED'} ${id} ${what}: ${figure} (aim: ${aim}; seed ${seed})`
}

/** The value below which `part` of all lie; of few values the greatest for a high part. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

export function ms(value: number): string {
  return value < 100 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`
}

/** `none`, or each kind and how often it came. */
export function kinds(errors: Readonly<Record<string, number>>): string {
  const all = Object.entries(errors).map(([kind, count]) => `${count} ${kind}`)
  return all.length === 0 ? 'none' : all.join(', ')
}
