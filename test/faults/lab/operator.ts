/** The operator of a lab, seen from outside: its process and what it has on record. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/servers.ts'
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { programEnv, programOf } from './compile-cache.ts'
import type { Namespace } from './namespaces.ts'
import type { OperatorSettings } from './operator-settings.ts'
import { LabProcess } from './process.ts'
import { RecordFile } from './record.ts'

const program = fileURLToPath(new URL('operator-main.ts', import.meta.url))

export interface OperatorOptions {
  readonly namespace: Namespace
  readonly settings: Omit<OperatorSettings, 'dieAt'>
}

export class LabOperator {
  readonly name = 'operator'
  readonly record: RecordFile
  private readonly options: OperatorOptions
  private process: LabProcess | undefined
  private killed = false

  constructor(options: OperatorOptions) {
    this.options = options
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

  /** `dieAt`: see `DeathPoint`. */
  async start(dieAt?: string): Promise<void> {
    const { namespace, settings } = this.options
    this.killed = false
    const given: OperatorSettings = { ...settings, ...(dieAt !== undefined && { dieAt }) }
    this.process = await LabProcess.start({
      namespace,
      command: programOf(program),
      env: { ...programEnv(), LAB_OPERATOR: JSON.stringify(given) },
      logFile: join(settings.directory, 'operator.log'),
      hasChannel: true,
    })
  }

  /** The running process kills itself when it next comes there. Absent: it does not any more. */
  dieAt(point?: string): void {
    this.process?.send(point === undefined ? {} : { dieAt: point })
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

  condition(type: string): string {
    const found = this.status.conditions?.find((condition) => condition.type === type)
    return `${found?.status ?? 'absent'}/${found?.reason ?? ''}`
  }
}
