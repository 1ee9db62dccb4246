/**
 * Which command names stop the scan of a run: all but those that are known to be ordinary. Kept as bits by length,
 * first and last letter, so that an ordinary command costs one look into a table and no string.
 */
import { knownCommandNames, specialCommandNames } from '../../common/redis/command-table.ts'
import { type NameFilter, nameFilterSize, nameHash } from '../resp/request-scanner.ts'

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

/** Changes the filter in place. `ordinary` are upper-case names beside those of the table. */
export function fillNameFilter(
  filter: NameFilter,
  watched?: Watched,
  ordinary: readonly string[] = [],
): void {
  filter.fill(1)
  if (watched?.refusesOthers === true) return
  for (const name of [...knownCommandNames(), ...ordinary]) filter[hashOf(name)] = 0
  for (const name of [...specialCommandNames(), ...foreignNames, ...(watched?.names() ?? [])]) {
    filter[hashOf(name)] = 1
  }
}

function hashOf(name: string): number {
  return nameHash(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))
}
