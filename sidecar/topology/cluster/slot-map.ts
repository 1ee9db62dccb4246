/** Slots as they are shown and compared. Pure. */
import { slotCount } from '../../../common/redis/slots.ts'
import type { Answer } from './answer.ts'
import type { SlotRange } from './node-list.ts'

/** The slots of each owner, in ranges; what belongs to undefined is left out. */
export function rangesByOwner<T extends object>(
  slots: readonly (T | undefined)[],
): ReadonlyMap<T, readonly SlotRange[]> {
  const found = new Map<T, SlotRange[]>()
  let first = 0
  for (let slot = 1; slot <= slots.length; slot += 1) {
    const owner = slots[first]
    if (slot < slots.length && slots[slot] === owner) continue
    if (owner !== undefined) {
      const ranges = found.get(owner) ?? []
      ranges.push([first, slot - 1])
      found.set(owner, ranges)
    }
    first = slot
  }
  return found
}

/** Whether an answer says of every slot what is known already. */
export function saysTheSame(
  answer: Answer,
  ownerOf: (slot: number) => string | undefined,
): boolean {
  let covered = 0
  for (const { id, ranges } of answer.nodes) {
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot += 1) if (ownerOf(slot) !== id) return false
      covered += last - first + 1
    }
  }
  let known = 0
  for (let slot = 0; slot < slotCount; slot += 1) if (ownerOf(slot) !== undefined) known += 1
  return covered === known
}
