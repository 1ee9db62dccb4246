/** What routing is told of commands by the scan that finds where they end, so that most need no second look. */
import { NameMark } from '../resp/request-scanner.ts'
import { type CommandTraits, allTraits } from './traits.ts'

/** By upper-case name. Names with sub-commands are left out: they may be anything. */
export function nameMarks(): ReadonlyMap<string, number> {
  const plain = allTraits().filter(({ isContainer, name }) => !isContainer && !name.includes('|'))
  return new Map(plain.map((traits) => [traits.name.toUpperCase(), marksOf(traits)]))
}

function marksOf({ onlyKey, keys, readsOnly, route }: CommandTraits): number {
  const isKeyless = keys.length === 0 && route === 'any'
  const apart = onlyKey === 0 ? NameMark.apart : 0
  return apart | (readsOnly || isKeyless ? 0 : NameMark.writes)
}
