/** Many states in little room. */
import type { Digest } from './digest.ts'

const absent = -1

/** Numbers states in the order in which they are added; open addressing, at most half full. */
export class StateTable {
  size = 0
  private slots = new Int32Array(1 << 12).fill(absent)
  private readonly high = new Numbers()
  private readonly low = new Numbers()

  find({ high, low }: Digest): number | undefined {
    const index = this.slots[this.slotOf(high, low)] ?? absent
    return index === absent ? undefined : index
  }

  add({ high, low }: Digest): number {
    if (this.size * 2 >= this.slots.length) this.grow()
    const index = this.size
    this.slots[this.slotOf(high, low)] = index
    this.high.push(high)
    this.low.push(low)
    this.size += 1
    return index
  }

  /** Where it is, or would be. */
  private slotOf(high: number, low: number): number {
    const mask = this.slots.length - 1
    let slot = low & mask
    for (;;) {
      const index = this.slots[slot] ?? absent
      if (index === absent) return slot
      if (this.high.at(index) === high && this.low.at(index) === low) return slot
      slot = (slot + 1) & mask
    }
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2).fill(absent)
    for (let index = 0; index < this.size; index += 1) {
      this.slots[this.slotOf(this.high.at(index), this.low.at(index))] = index
    }
  }
}

/** A list of integers of 32 bits. */
export class Numbers {
  length = 0
  private items = new Int32Array(1 << 10)

  push(...values: readonly number[]): void {
    if (this.length + values.length > this.items.length) {
      const items = new Int32Array(this.items.length * 2)
      items.set(this.items)
      this.items = items
    }
    for (const value of values) {
      this.items[this.length] = value
      this.length += 1
    }
  }

  at(index: number): number {
    const value = index < this.length ? this.items[index] : undefined
    if (value === undefined) throw new Error(`there is no number ${index} of ${this.length}`)
    return value
  }
}
