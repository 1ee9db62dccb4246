/**
 * Who is owed replies on a shared connection, oldest first: runs of (client, commands) in a ring, so that a
 * pipeline of any depth is one entry.
 */

/** Runs that a new ring has room for; a power of two, as all its sizes are. */
const slotsMin = 64
const emptySlots = (length: number) => Array.from({ length }, () => undefined)
const zeros = (length: number) => Array.from({ length }, () => 0)

export class InFlightRing<T> {
  /** Commands of all runs. */
  commandCount = 0
  private owners: (T | undefined)[] = emptySlots(slotsMin)
  private counts: number[] = zeros(slotsMin)
  private head = 0
  private size = 0

  get runCount(): number {
    return this.size
  }

  push(owner: T, count: number): void {
    this.commandCount += count
    const mask = this.owners.length - 1
    const last = (this.head + this.size - 1) & mask
    if (this.size > 0 && this.owners[last] === owner) {
      this.counts[last] = (this.counts[last] as number) + count
      return
    }
    if (this.size === this.owners.length) this.grow()
    const at = (this.head + this.size) & (this.owners.length - 1)
    this.owners[at] = owner
    this.counts[at] = count
    this.size += 1
  }

  /** Who is owed the next reply. */
  get owner(): T | undefined {
    return this.size === 0 ? undefined : this.owners[this.head]
  }

  /** How many replies in a row are theirs. */
  get count(): number {
    return this.size === 0 ? 0 : (this.counts[this.head] as number)
  }

  /** Notes that `count` of the first run were answered. */
  answer(count: number): void {
    const left = (this.counts[this.head] as number) - count
    this.commandCount -= count
    if (left > 0) {
      this.counts[this.head] = left
      return
    }
    this.owners[this.head] = undefined
    this.head = (this.head + 1) & (this.owners.length - 1)
    this.size -= 1
  }

  /** Has `other` owed what `owner` was. */
  replace(owner: T, other: T): void {
    const mask = this.owners.length - 1
    for (let index = 0; index < this.size; index += 1) {
      const at = (this.head + index) & mask
      if (this.owners[at] === owner) this.owners[at] = other
    }
  }

  /** Empties the ring, oldest run first. */
  drain(each: (owner: T, count: number) => void): void {
    while (this.size > 0) {
      const owner = this.owners[this.head] as T
      const count = this.counts[this.head] as number
      this.answer(count)
      each(owner, count)
    }
  }

  private grow(): void {
    const { owners, counts, head, size } = this
    const capacity = owners.length * 2
    this.owners = emptySlots(capacity)
    this.counts = zeros(capacity)
    for (let index = 0; index < size; index += 1) {
      const from = (head + index) & (owners.length - 1)
      this.owners[index] = owners[from]
      this.counts[index] = counts[from] as number
    }
    this.head = 0
  }
}
