/**
 * Which command names stop the scan of a run. Kept as bits by length, first and last letter, so that an ordinary
 * command costs one look into a table and no string.
 */
import { specialCommandNames } from '../../common/redis/command-table.ts'
import { type NameFilter, nameFilterSize, nameHash } from '../resp/request-scanner.ts'

/** Names that browsers send; servers cut such clients, whatever the framing. */
export const foreignNames: ReadonlySet<string> = new Set(['POST', 'HOST:'])

export function createNameFilter(): NameFilter {
  const filter = new Uint8Array(nameFilterSize)
  for (const name of [...specialCommandNames(), ...foreignNames]) {
    const first = name.charCodeAt(0)
    filter[nameHash(name.length, first, name.charCodeAt(name.length - 1))] = 1
  }
  return filter
}
