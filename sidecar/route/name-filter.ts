/**
 * Which command names stop the scan of a run: all but those that are known to be ordinary. Kept as bits by length,
 * first and last letter, so that an ordinary command costs one look into a table and no string.
 */
import { knownCommandNames, specialCommandNames } from '../../common/redis/command-table.ts'
import { type NameFilter, NameMark, nameFilterSize, nameHash } from '../resp/request-scanner.ts'

/** Names that browsers send; servers cut such clients, whatever the framing. */
export const foreignNames: ReadonlySet<string> = new Set(['POST', 'HOST:'])

/** What else than the kinds of commands has a name looked at. */
export interface Watched {
  /** Upper-case names. */
  names(): readonly string[]
  readonly refusesOthers: boolean
}

export function createNameFilter(watched?: Watched): NameFilter {
  const filter = new Uint8Array(nameFilterSize)
  fillNameFilter(filter, watched)
  return filter
}

/**
 * Changes the filter in place. `ordinary` are upper-case names beside those of the table; `marks` what else than `stop`
 * is to be told of names, those that it does not have being everything.
 */
export function fillNameFilter(
  filter: NameFilter,
  watched?: Watched,
  ordinary: readonly string[] = [],
  marks?: ReadonlyMap<string, number>,
): void {
  filter.fill(NameMark.stop)
  if (watched?.refusesOthers === true) return
  const passed = [...knownCommandNames(), ...ordinary]
  for (const name of passed) filter[hashOf(name)] = 0
  for (const name of marks === undefined ? [] : passed) {
    const hash = hashOf(name)
    const mark = marks?.get(name) ?? NameMark.apart | NameMark.writes
    filter[hash] = (filter[hash] as number) | mark
  }
  for (const name of [...specialCommandNames(), ...foreignNames, ...(watched?.names() ?? [])]) {
    filter[hashOf(name)] = NameMark.stop
  }
}

function hashOf(name: string): number {
  return nameHash(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))
}
