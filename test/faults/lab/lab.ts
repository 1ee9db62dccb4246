/**
 * Servers, sidecars and an operator, all real processes, each in a network namespace of its own on one bridge; and the
 * faults that can be done to them. Several labs may run at once: their addresses are the same and never meet.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseManifests } from '../../../operator/api/manifest.ts'
import { type RedisProxyStatus, keyOf } from '../../../operator/api/redis-proxy.ts'
import { createToken } from '../../../operator/stream/index.ts'
import { serverProgram, until } from '../../support/servers.ts'
import { Network } from './network.ts'
import { LabOperator } from './operator.ts'
import { type RecordEntry, RecordFile } from './record.ts'
import { LabServer, serverPort } from './server.ts'
import { LabSidecar } from './sidecar.ts'

export const streamPort = 9443
const operatorName = 'operator'
const operatorHost = '10.77.0.100'
const standbyName = 'operator-2'
const standbyHost = '10.77.0.101'
/** Machines are busy. */
const readyDeadlineMs = 90_000

export interface LabOptions {
  readonly servers: number
  readonly sidecars: number
  /** How to start a server; its arguments follow. Default: that of this machine. */
  readonly program?: readonly string[]
  /** disk: what a server has outlives its process. Default: disk. */
  readonly data?: 'disk' | 'memory'
  /** Default: 500ms. */
  readonly downAfter?: string
  /** More of the spec as YAML in one line each: `fenceTimeout: 5s, operatorAway: StopWrites`. */
  readonly failover?: string
  readonly proxy?: string
  readonly backend?: string
  /** Whether the operator is told of processes that ended, as Kubernetes tells it of containers. Default: it is not. */
  readonly knowsFates?: boolean
  /** The folder with logs and records stays. */
  readonly isKept?: boolean
  readonly logLevel?: 'info' | 'debug'
  /** Whether operator and sidecars can be asked for what they keep in memory. */
  readonly isMeasured?: boolean
  /** A second operator waits for the lease of the first; sidecars reach either at the same address, by chance. */
  readonly hasStandby?: boolean
}

const open = new Set<Lab>()
process.on('exit', () => {
  for (const lab of open) lab.removeFolder()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Processes and namespaces go with us, by the kernel; folders by the handler of `exit`.
  process.on(signal, () => process.exit(128 + (signal === 'SIGINT' ? 2 : 15)))
}

export class Lab {
  readonly directory: string
  readonly network: Network
  readonly servers: readonly LabServer[]
  readonly sidecars: readonly LabSidecar[]
  readonly operator: LabOperator
  readonly standby?: LabOperator
  private readonly isKept: boolean

  private constructor(options: LabOptions, place: { directory: string; network: Network }) {
    const { directory, network } = place
    this.directory = directory
    this.network = network
    this.isKept = options.isKept === true
    const program = options.program ?? [serverProgram()]
    this.servers = serverNames(options).map((name) => {
      const at = { namespace: network.namespaceOf(name), host: network.addressOf(name) }
      return new LabServer({ name, ...at, directory, program, data: options.data ?? 'disk' })
    })
    const files = writeFiles(directory)
    const record = new RecordFile(directory)
    record.create(resourceOf(options, this.servers))
    this.sidecars = sidecarNames(options).map(
      (name) =>
        new LabSidecar({
          name,
          namespace: network.namespaceOf(name),
          directory,
          proxy: keyOf(record.read()),
          streamUrl: `https://${operatorHost}:${streamPort}`,
          tokenFile: files.tokenFile,
          caFile: files.certFile,
          isMeasured: options.isMeasured === true,
        }),
    )
    const operatorAt = (name: string, host: string) =>
      new LabOperator({
        name,
        namespace: network.namespaceOf(name),
        isMeasured: options.isMeasured === true,
        settings: {
          ...files,
          directory,
          host,
          port: streamPort,
          sidecars: sidecarNames(options),
          knowsFates: options.knowsFates === true,
          ...(options.hasStandby === true && { identity: name }),
          ...(options.logLevel && { logLevel: options.logLevel }),
        },
      })
    this.operator = operatorAt(operatorName, operatorHost)
    if (options.hasStandby === true) this.standby = operatorAt(standbyName, standbyHost)
  }

  /** Resolves when everything is in order and each sidecar serves. */
  static async start(options: LabOptions): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'respmesh-lab-'))
    const network = await Network.open([
      ...serverNames(options).map((name, index) => ({ name, address: `10.77.0.${index + 1}` })),
      ...sidecarNames(options).map((name, index) => ({ name, address: `10.77.0.${index + 51}` })),
      { name: operatorName, address: operatorHost },
      ...(options.hasStandby === true ? [{ name: standbyName, address: standbyHost }] : []),
    ])
    if (options.hasStandby === true) {
      const both = { port: streamPort, from: operatorName, to: standbyName }
      await Promise.all(sidecarNames(options).map((name) => network.share(name, both)))
    }
    const lab = new Lab(options, { directory, network })
    open.add(lab)
    try {
      await lab.begin()
      return lab
    } catch (error) {
      await lab.stop()
      throw error
    }
  }

  get status(): RedisProxyStatus {
    return this.operator.status
  }

  /** Every version of the resource, oldest first. */
  history(): readonly RecordEntry[] {
    return this.operator.record.all()
  }

  /** The recorded primary. @throws Error when there is none */
  get primary(): LabServer {
    const { primary } = this.status
    const found = this.servers.find(({ address }) => address === primary?.address)
    if (found === undefined) throw new Error('no server of the lab is the recorded primary')
    return found
  }

  get replicas(): readonly LabServer[] {
    const { primary } = this
    return this.servers.filter((server) => server !== primary)
  }

  /**
   * Whether a primary is on record and everything around it is as it should be.
   * @throws Error when one of `mustRun` has ended, with what it said last
   */
  isSettled(mustRun: readonly (LabSidecar | LabOperator)[] = []): boolean {
    for (const { name } of mustRun.filter(({ isRunning }) => !isRunning)) {
      const log = readFileSync(join(this.directory, `${name}.log`), 'utf8')
      throw new Error(`${name} has ended: ${log.slice(-1000)}`)
    }
    const { operator } = this
    if (this.status.phase !== 'Steady') return false
    return ['Ready', 'ReplicationHealthy', 'SinglePrimary'].every((type) =>
      operator.condition(type).startsWith('True'),
    )
  }

  /** @throws Error with the status if it does not settle */
  async settled(deadlineMs = readyDeadlineMs): Promise<void> {
    const mustRun = [...this.sidecars, this.operator]
    try {
      await until('the lab is in order', () => this.isSettled(mustRun), deadlineMs)
    } catch (cause) {
      throw new Error(`the lab is not in order: ${JSON.stringify(this.status)}`, { cause })
    }
  }

  /** Waits until the operator that runs now hears every sidecar; what it has on record may be of another one until then. */
  async connected(deadlineMs = readyDeadlineMs): Promise<void> {
    for (const sidecar of this.sidecars) {
      await until(`${sidecar.name} is connected`, () => sidecar.isConnected(), deadlineMs)
    }
  }

  /** Waits until every other server has all that the primary has. */
  async level(deadlineMs = readyDeadlineMs): Promise<void> {
    await until(
      'all servers are level',
      async () => {
        const said = await Promise.all(this.servers.map((server) => server.info('replication')))
        const offsets = said.map((info) => info.get('master_repl_offset'))
        const ids = said.map((info) => info.get('master_replid'))
        return new Set(offsets).size === 1 && new Set(ids).size === 1
      },
      deadlineMs,
    )
  }

  /** Edits the resource as a user would. */
  changeSpec(change: (spec: ReturnType<RecordFile['read']>['spec']) => typeof spec): void {
    const { record } = this.operator
    const proxy = record.read()
    record.writeSpec(proxy, change(proxy.spec))
  }

  /** Asks for a planned change as `respmesh switchover` does. */
  request(operation: {
    readonly name: string
    readonly kind: 'Switchover' | 'Promote'
    readonly to?: string
    readonly accept?: readonly ('NoProof' | 'DataLoss')[]
  }): void {
    const wanted = { accept: [], ...operation }
    const file = join(this.directory, `operation-${operation.name}.wanted`)
    writeFileSync(`${file}.new`, JSON.stringify(wanted))
    execFileSync('mv', [`${file}.new`, file])
  }

  async stop(): Promise<void> {
    const operators = this.standby === undefined ? [this.operator] : [this.operator, this.standby]
    const parts = [...this.servers, ...this.sidecars, ...operators]
    await Promise.all(parts.map((part) => part.kill()))
    this.network.close()
    this.removeFolder()
    open.delete(this)
  }

  removeFolder(): void {
    if (!this.isKept) rmSync(this.directory, { recursive: true, force: true })
  }

  private async begin(): Promise<void> {
    const [first, ...others] = this.servers
    await first?.start('primary')
    const replicaOf = first?.host ?? ''
    await Promise.all(others.map((server) => server.start({ replicaOf })))
    await this.operator.start()
    await this.standby?.start()
    await Promise.all(this.sidecars.map((sidecar) => sidecar.start()))
    await this.settled()
    await Promise.all(this.sidecars.map((sidecar) => sidecar.serves(readyDeadlineMs)))
  }
}

function serverNames({ servers }: LabOptions): readonly string[] {
  return Array.from({ length: servers }, (_none, index) => `server-${index + 1}`)
}

function sidecarNames({ sidecars }: LabOptions): readonly string[] {
  return Array.from({ length: sidecars }, (_none, index) => `sidecar-${index + 1}`)
}

function resourceOf(options: LabOptions, servers: readonly LabServer[]) {
  const { downAfter = '500ms', failover, proxy, backend } = options
  const endpoints = servers.map(({ host }) => `{host: ${host}, port: ${serverPort}}`).join(', ')
  const more = (text: string | undefined) => (text === undefined ? '' : `, ${text}`)
  const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: lab, namespace: faults}
spec:
  backend: {endpoints: [${endpoints}]${more(backend)}}
  failover: {downAfter: ${downAfter}${more(failover)}}
  proxy: {${proxy ?? ''}}
`
  const [resource] = parseManifests(text, 'the lab').proxies
  if (resource === undefined) throw new Error('the resource of the lab is none')
  return resource
}

function writeFiles(directory: string) {
  const at = (file: string) => join(directory, file)
  const [certFile, keyFile, tokenFile] = [at('tls.crt'), at('tls.key'), at('token')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', '/CN=lab', '-addext', `subjectAltName=IP:${operatorHost}`]
  const output = ['-days', '2', '-keyout', keyFile, '-out', certFile]
  execFileSync('openssl', ['req', '-x509', ...key, ...names, ...output], { stdio: 'ignore' })
  const token = createToken()
  writeFileSync(tokenFile, token, { mode: 0o600 })
  return { certFile, keyFile, tokenFile, token }
}
