/** What the machine allows this process, as far as it says so. Linux; elsewhere nothing is known. */
import { readFileSync } from 'node:fs'

export interface ProcessBounds {
  /** Bound of the control group, cgroup v1 or v2. */
  readonly memoryBytesMax?: number
  /** Open files, sockets among them. */
  readonly filesMax?: number
}

type Read = (path: string) => string | undefined

export function processBounds(read: Read = readText): ProcessBounds {
  const memoryBytesMax = cgroupMemoryBytes(read)
  const files = /^Max open files\s+(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1]
  return {
    ...(memoryBytesMax !== undefined && { memoryBytesMax }),
    ...(files !== undefined && { filesMax: Number(files) }),
  }
}

/** The smallest bound of the group and those that it is in. */
function cgroupMemoryBytes(read: Read): number | undefined {
  const groups = read('/proc/self/cgroup') ?? ''
  const v2 = /^0::(.*)$/m.exec(groups)?.[1]
  const v1 = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1]
  const bounds = [
    ...files('/sys/fs/cgroup', v2, 'memory.max'),
    ...files('/sys/fs/cgroup/memory', v1, 'memory.limit_in_bytes'),
  ].flatMap((file) => {
    const bytes = Number(read(file)?.trim())
    // Without a bound v2 says `max`, v1 nearly 2^63.
    return Number.isSafeInteger(bytes) && bytes > 0 ? [bytes] : []
  })
  return bounds.length === 0 ? undefined : Math.min(...bounds)
}

/** In a container the path of the group is often not the one that is seen there: its root is asked as well. */
function files(root: string, group: string | undefined, name: string): string[] {
  if (group === undefined) return []
  const parts = group.split('/').filter((part) => part !== '')
  return [...parts.keys(), parts.length].map((depth) =>
    [root, ...parts.slice(0, depth), name].join('/'),
  )
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
