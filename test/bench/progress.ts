/** What a person sees while the benchmark runs: one line per round and load, filled as figures come. */
import { formatRate } from './report.ts'

export class Progress {
  private readonly write: (text: string) => void
  private startedAt: number | undefined
  private isMidLine = false

  constructor(write: (text: string) => void) {
    this.write = write
  }

  say(text: string): void {
    this.write(`${this.isMidLine ? '\n' : ''}${text}\n`)
    this.isMidLine = false
  }

  /** Opens the line of step `done + 1` of `total`. */
  begin(name: string, done: number, total: number): void {
    this.startedAt ??= performance.now()
    const perStep = done === 0 ? undefined : (performance.now() - this.startedAt) / done
    const left = perStep === undefined ? '' : `, ${formatTime(perStep * (total - done))} left`
    this.write(`[${done + 1}/${total}${left}] ${name}:`)
    this.isMidLine = true
  }

  figure(name: string, requestsPerSecond: number): void {
    this.write(` ${name} ${formatRate(requestsPerSecond)}`)
    this.isMidLine = true
  }

  end(): void {
    if (this.isMidLine) this.write('\n')
    this.isMidLine = false
  }
}

function formatTime(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
