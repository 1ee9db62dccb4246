/**
 * Values that are made from files: passwords, certificates. Each is made anew when one of its files changes, also
 * when a whole mounted directory is swapped behind a symbolic link, and stays as it was while the new files cannot
 * be used, which is said and counted.
 */
import { statSync } from 'node:fs'
import { filesPollMs } from './limits.ts'
import type { Log } from './log.ts'

export interface FileValueOptions<T> {
  /** For the log: `password of clients`. */
  readonly what: string
  readonly files: readonly string[]
  /** Called at once, and whenever a file changed. Its errors name the file and show nothing of its content. */
  readonly read: () => T
  readonly onChange?: (value: T) => void
}

/** Values that were read anew, and attempts that failed. */
export interface FileCounters {
  fileReloads: number
  fileReloadErrors: number
}

/** All values of a process: looks at their files at equal intervals, as long as there are any. */
export class FileWatch {
  private readonly log: Log
  private readonly counters: FileCounters
  private readonly values = new Set<Watched>()
  private timer: NodeJS.Timeout | undefined

  constructor(log: Log, counters: FileCounters = { fileReloads: 0, fileReloadErrors: 0 }) {
    this.log = log
    this.counters = counters
  }

  /** @throws what `read` throws */
  value<T>(options: FileValueOptions<T>): FileValue<T> {
    const value = new FileValue(options, this)
    if (options.files.length > 0) {
      this.values.add(value)
      this.timer ??= setInterval(() => this.look(), filesPollMs).unref()
    }
    return value
  }

  /** Values that are older than their files, which cannot be used. */
  get staleCount(): number {
    let count = 0
    for (const value of this.values) if (value.isStale) count += 1
    return count
  }

  remove(value: Watched): void {
    this.values.delete(value)
    if (this.values.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
    this.values.clear()
  }

  noteReload(what: string, files: readonly string[]): void {
    this.counters.fileReloads += 1
    this.log.info({ what, files }, 'changed files are in use')
  }

  noteFailure(what: string, files: readonly string[], err: unknown): void {
    this.counters.fileReloadErrors += 1
    this.log.error({ what, files, err }, 'changed files cannot be used; what they held stays')
  }

  private look(): void {
    for (const value of this.values) value.look()
  }
}

interface Watched {
  readonly isStale: boolean
  look(): void
}

export class FileValue<T> implements Watched {
  isStale = false
  private readonly options: FileValueOptions<T>
  private readonly watch: FileWatch
  private value: T
  private seen: string
  /** Files that were complained of. */
  private refused = ''

  constructor(options: FileValueOptions<T>, watch: FileWatch) {
    this.options = options
    this.watch = watch
    this.seen = fingerprint(options.files)
    this.value = options.read()
  }

  /** As the files are now, where they can be used. */
  current(): T {
    this.look()
    return this.value
  }

  close(): void {
    this.watch.remove(this)
  }

  /** Reads the files again if they are not those that were read. Never throws. */
  look(): void {
    const { files, what } = this.options
    const seen = fingerprint(files)
    if (seen === this.seen) {
      this.isStale = false
      return
    }
    try {
      this.value = this.options.read()
    } catch (error) {
      this.isStale = true
      if (seen !== this.refused) this.watch.noteFailure(what, files, error)
      this.refused = seen
      return
    }
    this.seen = seen
    this.refused = ''
    this.isStale = false
    this.watch.noteReload(what, files)
    this.options.onChange?.(this.value)
  }
}

/** Differs when a file, or what a link on its path points at, was changed or replaced. */
function fingerprint(files: readonly string[]): string {
  return files.map(identityOf).join(' ')
}

function identityOf(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined) return 'none'
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`
}
