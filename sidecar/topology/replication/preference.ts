/** Which replicas are asked before others. Pure. */
import type { ReadSplit } from '../../../common/contract/proxy-config.ts'
import { assertNever } from '../../../common/errors.ts'
import { latencyFactor, latencySlackMs } from '../../../common/limits.ts'

export interface Choosable {
  readonly zone: string | undefined
  readonly latencyMs: number | undefined
}

/** The replicas in groups: those of a later group are asked while none of the earlier ones is fit. */
export function preferenceGroups<T extends Choosable>(
  replicas: readonly T[],
  reads: Pick<ReadSplit, 'choose' | 'zone'>,
): readonly (readonly T[])[] {
  const { choose = 'roundRobin' } = reads
  switch (choose) {
    case 'zone':
      return split(replicas, ({ zone }) => zone === reads.zone)
    case 'latency':
      return split(replicas, isFastAmong(replicas))
    case 'roundRobin':
      return [replicas]
    default:
      return assertNever(choose)
  }
}

function isFastAmong(replicas: readonly Choosable[]): (one: Choosable) => boolean {
  const known = replicas.flatMap(({ latencyMs }) => latencyMs ?? [])
  const fastestMs = Math.min(...known)
  const slowestMs = Math.max(fastestMs * latencyFactor, fastestMs + latencySlackMs)
  return ({ latencyMs }) => latencyMs !== undefined && latencyMs <= slowestMs
}

function split<T>(all: readonly T[], isPreferred: (one: T) => boolean): readonly T[][] {
  const preferred = all.filter((one) => isPreferred(one))
  const others = all.filter((one) => !isPreferred(one))
  return [preferred, others].filter((group) => group.length > 0)
}
