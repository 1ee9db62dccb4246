/**
 * Whether what clients saw of one register can be explained by its operations having taken effect one after another,
 * each between its begin and its end. Values are unique; a write of unknown outcome may have taken effect at any time
 * after its begin, or never. Pure.
 */

export interface RegisterOp {
  readonly kind: 'put' | 'read'
  /** Written, or read; `''`: there was nothing. */
  readonly value: string
  readonly startMs: number
  /** Infinity: it is not known whether and when. */
  readonly endMs: number
}

export type Verdict = 'yes' | 'no' | 'undecided'

/** Orders looked at before it is given up. */
const stepsMax = 400_000

/** Depth first over orders, never twice from the same set of done operations and value (Wing and Gong, Lowe). */
export function isLinearizable(given: readonly RegisterOp[]): Verdict {
  const ops = relevant(given)
  const search: Search = { ops, seen: new Set(), steps: 0 }
  return explore(search, {
    done: ops.map(() => false),
    value: '',
  })
}

/** Unknown writes whose value nobody read are as if they had never been. */
function relevant(ops: readonly RegisterOp[]): readonly RegisterOp[] {
  const read = new Set(ops.filter(({ kind }) => kind === 'read').map(({ value }) => value))
  return ops
    .filter(({ kind, endMs, value }) => kind === 'read' || endMs !== Infinity || read.has(value))
    .sort((a, b) => a.startMs - b.startMs)
}

interface Search {
  readonly ops: readonly RegisterOp[]
  readonly seen: Set<string>
  steps: number
}

interface State {
  readonly done: boolean[]
  value: string
}

function explore(search: Search, state: State): Verdict {
  const { ops, seen } = search
  if (ops.every(({ endMs }, index) => state.done[index] === true || endMs === Infinity))
    return 'yes'
  const key = `${state.value} ${fingerprint(state.done)}`
  if (seen.has(key)) return 'no'
  seen.add(key)
  search.steps += 1
  if (search.steps > stepsMax) return 'undecided'
  for (const index of candidates(ops, state)) {
    const op = ops[index]
    if (op === undefined) continue
    if (op.kind === 'read' && op.value !== state.value) continue
    const former = state.value
    state.done[index] = true
    state.value = op.value
    const verdict = explore(search, state)
    state.done[index] = false
    state.value = former
    if (verdict !== 'no') return verdict
  }
  return 'no'
}

/** Those that may be next: they began before any other that is not done had ended. */
function candidates(ops: readonly RegisterOp[], { done }: State): readonly number[] {
  let firstEndMs = Infinity
  const open: number[] = []
  for (const [index, op] of ops.entries()) {
    if (done[index] === true) continue
    if (op.startMs > firstEndMs) break
    open.push(index)
    firstEndMs = Math.min(firstEndMs, op.endMs)
  }
  return open.filter((index) => (ops[index]?.startMs ?? 0) <= firstEndMs)
}

/** The done ones as text: the first that is not, and what is done after it. */
function fingerprint(done: readonly boolean[]): string {
  const first = done.indexOf(false)
  const after = done.flatMap((isDone, index) => (isDone && index > first ? [index] : []))
  return `${first} ${after.join(',')}`
}
