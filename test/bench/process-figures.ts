/** CPU time and memory of processes and of the machine, from /proc (Linux only). */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

let ticksPerSecond: number | undefined

/** /proc counts CPU time in ticks; 100 a second on all common kernels. */
function seconds(ticks: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  return ticks / ticksPerSecond
}

/** User and system time of all threads of a process since its start. Resolution: 10 ms. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return seconds((fields[11] ?? 0) + (fields[12] ?? 0))
}

/** The same for this process, and apart from it for the children that it has waited for. */
export function ownCpuSeconds(): { readonly self: number; readonly children: number } {
  const fields = statFields(readFileSync('/proc/self/stat', 'utf8'))
  return {
    self: seconds((fields[11] ?? 0) + (fields[12] ?? 0)),
    children: seconds((fields[13] ?? 0) + (fields[14] ?? 0)),
  }
}

/** Fields from the third of proc_pid_stat(5) on: what stands before may hold blanks and parentheses. */
export function statFields(stat: string): number[] {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
}

/** Time that all cores together have not been idle since the machine started. */
export function machineBusySeconds(): number {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/\s+/) ?? []
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0, steal = 0] =
    ticks.map(Number)
  return seconds(user + nice + system + interrupt + softInterrupt + steal)
}

export function residentBytes(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}

export interface CpuUse {
  readonly name: string
  readonly seconds: number
}

/** CPU time of every process that can be seen, by id. */
export function cpuOfAll(): ReadonlyMap<number, CpuUse> {
  const ids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return new Map(
    ids.flatMap((id) => {
      try {
        const stat = readFileSync(`/proc/${id}/stat`, 'utf8')
        const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
        return [[id, { name, seconds: cpuSeconds(id) }] as const]
      } catch {
        return []
      }
    }),
  )
}

/** Who used most CPU time between two looks, by name, `known` processes left out. */
export function heaviest(
  before: ReadonlyMap<number, CpuUse>,
  after: ReadonlyMap<number, CpuUse>,
  known: (id: number) => boolean,
): readonly CpuUse[] {
  const byName = new Map<string, number>()
  for (const [id, { name, seconds }] of after) {
    if (known(id)) continue
    byName.set(name, (byName.get(name) ?? 0) + seconds - (before.get(id)?.seconds ?? 0))
  }
  return [...byName]
    .map(([name, used]) => ({ name, seconds: used }))
    .filter((one) => one.seconds >= 0.5)
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, 5)
}
