/**
 * Keeps the process below its memory: near the bound the clients that hold most are closed, nearer still no new
 * ones are taken. What is only garbage is collected first, so that nobody is closed for it.
 */
import {
  memoryCollectMs,
  memoryCutBytesMin,
  memoryCutShare,
  memoryCutsMax,
  memoryLiveShare,
  memoryRefuseShare,
} from '../../common/limits.ts'

export interface MemoryHolder {
  readonly heldBytes: number
  /** Ends it because of what it holds. */
  cutForMemory(): void
}

export interface MemoryModules {
  readonly holders: () => Iterable<MemoryHolder>
  readonly residentBytes: () => number
  /** What of it is in use; the rest is what the program is, and what the allocator keeps to use it again. */
  readonly liveBytes: () => number
  /** Frees what nobody refers to any more. */
  readonly collect: () => void
}

export class MemoryGuard {
  /** Whether new clients are refused. */
  isFull = false
  private readonly modules: MemoryModules
  private readonly ownBytes: number
  private lastCollectMs = Number.NEGATIVE_INFINITY
  private bytesBefore: number
  /** Clients were closed, and it is not known yet what that brought. */
  private isSettling = false

  constructor(modules: MemoryModules) {
    this.modules = modules
    this.bytesBefore = modules.residentBytes()
    this.ownBytes = Math.max(0, this.bytesBefore - modules.liveBytes())
  }

  /** Called at equal intervals: acts on what is there and on what will be at the next if it goes on like this. */
  tick(nowMs: number, bytesMax: number): void {
    const cutBytes = bytesMax * memoryCutShare
    let bytes = this.expectedBytes()
    if (bytes >= cutBytes && nowMs - this.lastCollectMs >= memoryCollectMs) {
      this.lastCollectMs = nowMs
      this.modules.collect()
      this.isSettling = false
      bytes = this.modules.residentBytes()
    }
    const isTight = bytes >= bytesMax * memoryRefuseShare
    this.isFull = isTight && this.isInUse(bytesMax)
    if (bytes < cutBytes || (this.isSettling && !isTight)) return
    this.isSettling = true
    this.cutLargest(bytes - cutBytes)
  }

  private expectedBytes(): number {
    const bytes = this.modules.residentBytes()
    const growth = Math.max(0, bytes - this.bytesBefore)
    this.bytesBefore = bytes
    return bytes + growth
  }

  /** Memory that the allocator keeps, though it was freed, is no reason to refuse anyone: they will get it. */
  private isInUse(bytesMax: number): boolean {
    return this.modules.liveBytes() >= (bytesMax - this.ownBytes) * memoryLiveShare
  }

  private cutLargest(excessBytes: number): void {
    const holders = [...this.modules.holders()]
      .map((holder) => ({ holder, heldBytes: holder.heldBytes }))
      .filter(({ heldBytes }) => heldBytes >= memoryCutBytesMin)
      .toSorted((left, right) => right.heldBytes - left.heldBytes)
    let freedBytes = 0
    for (const { holder, heldBytes } of holders.slice(0, memoryCutsMax)) {
      holder.cutForMemory()
      freedBytes += heldBytes
      if (freedBytes > excessBytes) return
    }
  }
}
