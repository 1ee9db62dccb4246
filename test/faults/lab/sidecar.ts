/** A sidecar process on a node of the lab; its clients are in the same pod, so no fault of the network meets them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/servers.ts'
import { Client } from './client.ts'
import { programEnv, programOf } from './compile-cache.ts'
import { heapEnv, heapMbOf } from './heap.ts'
import type { Namespace } from './namespaces.ts'
import { LabProcess } from './process.ts'

const program = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url))
const adminPort = 9121
const port = 16379

export interface SidecarOptions {
  readonly name: string
  readonly namespace: Namespace
  readonly directory: string
  readonly proxy: string
  readonly streamUrl: string
  readonly tokenFile: string
  readonly caFile: string
  readonly isMeasured: boolean
}

export class LabSidecar {
  readonly name: string
  /** Where clients connect. */
  readonly unixPath: string
  private readonly options: SidecarOptions
  private process: LabProcess | undefined

  constructor(options: SidecarOptions) {
    this.options = options
    this.name = options.name
    this.unixPath = join(options.directory, `${options.name}.sock`)
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

  async start(): Promise<void> {
    const { namespace, directory, name, proxy, streamUrl, tokenFile, caFile } = this.options
    const { isMeasured } = this.options
    const stateDirectory = join(directory, name)
    mkdirSync(stateDirectory, { recursive: true })
    this.process = await LabProcess.start({
      namespace,
      command: programOf(program, 'sidecar'),
      env: {
        ...programEnv(),
        ...(isMeasured && heapEnv(this.heapFile)),
        RESPMESH_ID: name,
        RESPMESH_PROXY: proxy,
        RESPMESH_LISTEN: `127.0.0.1:${port}`,
        RESPMESH_UNIX: this.unixPath,
        RESPMESH_ADMIN: `127.0.0.1:${adminPort}`,
        RESPMESH_STREAM_URL: streamUrl,
        RESPMESH_STREAM_TOKEN_FILE: tokenFile,
        RESPMESH_STREAM_CA_FILE: caFile,
        RESPMESH_STATE_DIR: stateDirectory,
      },
      logFile: join(directory, `${name}.log`),
    })
  }

  /** Resolves when a client gets its `PING` answered by a server. */
  async serves(deadlineMs: number): Promise<void> {
    const serves = async () => {
      if (!this.isRunning) throw new Error(`${this.name} ended; see its log`)
      const client = await this.connect().catch(() => undefined)
      const reply = await client?.call('EXISTS', 'lab').catch(() => undefined)
      client?.close()
      return reply === 0
    }
    await until(`${this.name} serves`, serves, deadlineMs)
  }

  /** Whether it has the operator’s ear. */
  async isConnected(): Promise<boolean> {
    const text = await this.admin('/status').catch(() => '{}')
    const status = JSON.parse(text || '{}') as { stream?: { isConnected?: boolean } }
    return status.stream?.isConnected === true
  }

  connect(): Promise<Client> {
    return Client.connect(this.unixPath)
  }

  /** What its admin port answers: `/status`, `/metrics`, `/config`, `/topology`. */
  async admin(path: string): Promise<string> {
    const url = `http://127.0.0.1:${adminPort}${path}`
    return (await this.options.namespace.run('curl', ['-s', '--max-time', '2', url])).stdout
  }

  async kill(): Promise<void> {
    await this.process?.kill()
  }

  /** Asks it to end, as Kubernetes does; resolves when it has. */
  async terminate(): Promise<void> {
    this.process?.signal('SIGTERM')
    await this.process?.exited
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  stop(): void {
    this.process?.signal('SIGSTOP')
  }

  continue(): void {
    this.process?.signal('SIGCONT')
  }

  private get heapFile(): string {
    return join(this.options.directory, `${this.name}.heap`)
  }
}
