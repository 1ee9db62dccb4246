/**
 * Keeps the process below its memory: near the bound the clients that hold most are closed, nearer still no new
 * ones are taken. What is only garbage is collected first, so that nobody is closed for it.
 */
import {
  memoryCollectMs,
  memoryCutBytesMin,
  memoryCutShare,
  memoryCutsMax,
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
  /** Frees what nobody refers to any more. */
  readonly collect: () => void
}

export class MemoryGuard {
  /** Whether new clients are refused. */
  isFull = false
  private readonly modules: MemoryModules
  private lastCollectMs = Number.NEGATIVE_INFINITY
  /** What garbage collection did not free: less than this growth is not worth another. */
  private isSettling = false

  constructor(modules: MemoryModules) {
    this.modules = modules
  }

  /** Called at intervals. */
  tick(nowMs: number, bytesMax: number): void {
    let residentBytes = this.modules.residentBytes()
    const cutBytes = bytesMax * memoryCutShare
    if (residentBytes >= cutBytes && nowMs - this.lastCollectMs >= memoryCollectMs) {
      this.lastCollectMs = nowMs
      this.modules.collect()
      residentBytes = this.modules.residentBytes()
      this.isSettling = false
    }
    const isTight = residentBytes >= bytesMax * memoryRefuseShare
    this.isFull = isTight
    if (residentBytes < cutBytes || (this.isSettling && !isTight)) return
    this.isSettling = true
    this.cutLargest(residentBytes - cutBytes)
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
