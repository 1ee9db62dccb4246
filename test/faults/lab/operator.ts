/** The operator of a lab, seen from outside: its process and what it has on record. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/servers.ts'
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { programEnv, programOf } from './compile-cache.ts'
import { heapEnv, heapMbOf } from './heap.ts'
import type { Namespace } from './namespaces.ts'
import type { OperatorOrder, OperatorSettings } from './operator-settings.ts'
import { LabProcess } from './process.ts'
import { RecordFile } from './record.ts'

/** As the chart has them. */
const nodeOptions = '--max-semi-space-size=4'
const program = fileURLToPath(new URL('operator-main.ts', import.meta.url))

export interface OperatorOptions {
  readonly name: string
  readonly namespace: Namespace
  readonly settings: Omit<OperatorSettings, 'dieAt'>
  readonly isMeasured: boolean
}

export class LabOperator {
  readonly name: string
  readonly record: RecordFile
  private readonly options: OperatorOptions
  private process: LabProcess | undefined
  private killed = false

  constructor(options: OperatorOptions) {
    this.options = options
    this.name = options.name
    this.record = new RecordFile(options.settings.directory)
  }

  get status(): RedisProxyStatus {
    return this.record.read().status ?? {}
  }

  get isRunning(): boolean {
    return this.process?.isRunning === true
  }

  get pid(): number {
    return this.process?.pid ?? 0
  }

  /** Of a lab that is measured. */
  heapMb(): Promise<number> {
    return heapMbOf(this.pid, this.heapFile)
  }

  /** `dieAt`: see `Point`. */
  async start(dieAt?: string): Promise<void> {
    const { namespace, settings, isMeasured } = this.options
    this.killed = false
    const given: OperatorSettings = { ...settings, ...(dieAt !== undefined && { dieAt }) }
    const heap: NodeJS.ProcessEnv = isMeasured ? heapEnv(this.heapFile) : {}
    this.process = await LabProcess.start({
      namespace,
      command: programOf(program),
      env: {
        ...programEnv(),
        ...heap,
        NODE_OPTIONS: `${nodeOptions} ${heap.NODE_OPTIONS ?? ''}`,
        LAB_OPERATOR: JSON.stringify(given),
      },
      logFile: join(settings.directory, `${this.name}.log`),
      hasChannel: true,
    })
  }

  /** The running process kills itself when it next comes there. Absent: it does not any more. */
  dieAt(point?: string): void {
    this.send(point === undefined ? {} : { signal: 'SIGKILL', at: point })
  }

  /** The running process suspends itself when it next comes there. */
  stopAt(point: string): void {
    this.send({ signal: 'SIGSTOP', at: point })
  }

  async stopped(deadlineMs: number): Promise<void> {
    const isStopped = () => /^\d+ \(.*\) T/.test(readFileSync(`/proc/${this.pid}/stat`, 'utf8'))
    await until('the operator stands still', isStopped, deadlineMs)
  }

  async died(deadlineMs: number): Promise<void> {
    await until('the operator has died', () => !this.isRunning, deadlineMs)
  }

  /** Whether it was killed from outside, and not started since. */
  get wasKilled(): boolean {
    return this.killed
  }

  async kill(): Promise<void> {
    this.killed = true
    await this.process?.kill()
  }

  stop(): void {
    this.process?.signal('SIGSTOP')
  }

  continue(): void {
    this.process?.signal('SIGCONT')
  }

  /** Processes that it made primaries, by its log. */
  promotions(): readonly string[] {
    const log = readFileSync(join(this.options.settings.directory, `${this.name}.log`), 'utf8')
    return log.split('\n').flatMap((line) => {
      const runId = /"action":"promote".*"runId":"(\w+)","msg":"server obeyed"/.exec(line)?.[1]
      return runId === undefined ? [] : [runId]
    })
  }

  condition(type: string): string {
    const found = this.status.conditions?.find((condition) => condition.type === type)
    return `${found?.status ?? 'absent'}/${found?.reason ?? ''}`
  }

  private send(order: OperatorOrder): void {
    this.process?.send(order)
  }

  private get heapFile(): string {
    return join(this.options.settings.directory, `${this.name}.heap`)
  }
}
