/** Arithmetic of a benchmark: medians, spreads, ratios of rounds. Pure. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The middle value, or the mean of the two middle ones. @throws RangeError when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[sorted.length >> 1]
  const lower = sorted[(sorted.length - 1) >> 1]
  if (upper === undefined || lower === undefined) throw new RangeError('median of no values')
  return (lower + upper) / 2
}

/** @throws RangeError when there are no values. */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** @throws RangeError when there are no values, or one is not above zero. */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0 || values.some((value) => !(value > 0))) {
    throw new RangeError('a geometric mean needs values above zero')
  }
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/** `values` turned left by `by` places, so that each comes first once in `values.length` turns. */
export function rotate<T>(values: readonly T[], by: number): T[] {
  const start = values.length === 0 ? 0 : by % values.length
  return [...values.slice(start), ...values.slice(0, start)]
}

/** Up to two significant digits, for request counts that a person can repeat. */
export function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1)
  return Math.ceil(value / unit) * unit
}
