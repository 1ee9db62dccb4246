/**
 * Starts a Kubernetes of one node on this machine: etcd, the control plane, a kubelet with
 * containerd and runc, kube-proxy and CoreDNS, as processes inside the namespaces of a run.
 */
import { Resolver } from 'node:dns/promises'
import { watch } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { kubeconfigClients, kubeconfigOf, makeCertificates, nodeName } from './certificates.ts'
import { makeCgroups } from './cgroups.ts'
import { clientsOf } from './clients.ts'
import { waitFor } from './command.ts'
import * as components from './components.ts'
import * as configs from './configs.ts'
import { loadArchive, loadImage, type ImageStore } from './containerd.ts'
import {
  findCniPath,
  findSystemProgram,
  installPackages,
  missingPackages,
  snapshotterFor,
} from './machine.ts'
import { connect } from './network.ts'
import { rootfsOf } from './rootfs.ts'
import {
  createSandbox,
  destroySandbox,
  readRecord,
  type Sandbox,
  pidsInside,
  startInside,
  sweepLeftovers,
  writeRecord,
} from './sandbox.ts'
import { ensurePrograms, type Programs, type Report } from './toolchain.ts'
import type { Cluster, StartOptions } from './types.ts'

type Lab = {
  readonly sandbox: Sandbox
  readonly layout: configs.Layout
  readonly programs: Programs
  readonly snapshotter: string
  readonly report: Report
  /** Set as soon as a component ends that should run, or the caller gives up. */
  readonly failed: AbortController
}

export async function startLab(options: StartOptions): Promise<Cluster> {
  const report = timed(options.report ?? (() => {}))
  const packages = await missingPackages()
  if (packages.length > 0) await installPackages(packages, report)
  const programs = await ensurePrograms(report)
  const sweptCount = await sweepLeftovers()
  if (sweptCount > 0) report(`swept ${sweptCount} crashed runs`)
  options.signal?.throwIfAborted()
  const sandbox = await createSandbox({
    isDetached: options.isDetached ?? false,
    ...(options.logsPath !== undefined && { logsPath: options.logsPath }),
  })
  const failed = new AbortController()
  const giveUp = () => failed.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', giveUp)
  try {
    const { dnsCacheSeconds } = options
    return await boot(sandbox, programs, {
      report,
      failed,
      ...(dnsCacheSeconds !== undefined && { dnsCacheSeconds }),
    })
  } catch (error) {
    failed.abort(error)
    const told = await logTails(sandbox)
    await destroySandbox(sandbox.runPath)
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`the lab did not start: ${reason}\n${told}`, { cause: error })
  } finally {
    options.signal?.removeEventListener('abort', giveUp)
  }
}

async function boot(
  sandbox: Sandbox,
  programs: Programs,
  {
    report,
    failed,
    dnsCacheSeconds,
  }: Pick<Lab, 'report' | 'failed'> & Pick<StartOptions, 'dnsCacheSeconds'>,
): Promise<Cluster> {
  const network = await connect(sandbox)
  report(`namespaces of ${sandbox.runPath}, network ${network.cidr}`)
  const etcPath = join(sandbox.runPath, 'etc')
  const layout = {
    network,
    etcPath,
    pkiPath: join(etcPath, 'pki'),
    cgroup: sandbox.cgroup,
    ...(dnsCacheSeconds !== undefined && { dnsCacheSeconds }),
  }
  const snapshotter = await snapshotterFor(sandbox.runPath)
  const lab: Lab = { sandbox, layout, programs, snapshotter, report, failed }
  const cluster = clusterOf(lab)
  watchForEnds(lab)

  await start(lab, { name: 'etcd', program: 'etcd', args: components.etcdArgs() })
  await Promise.all([makeCertificates(layout.pkiPath, network), makeCgroups(layout.cgroup)])
  await writeConfigs(lab)
  await start(lab, {
    name: 'kube-apiserver',
    program: 'kube-apiserver',
    args: components.apiServerArgs(layout),
  })
  await start(lab, {
    name: 'containerd',
    program: 'containerd',
    args: ['--config', join(etcPath, 'containerd.toml')],
  })
  await loadPauseImage(lab)
  await until(lab, 'the API server', () => cluster.kubectl(['get', '--raw', '/readyz']))
  report('API server ready')
  await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(configs.bootstrapObjects()) })
  await startNode(lab)
  await untilUsable(lab, cluster)
  await recordRun(lab, cluster)
  report('cluster ready')
  return cluster
}

async function startNode(lab: Lab): Promise<void> {
  const { layout } = lab
  const { etcPath } = layout
  const services: readonly components.Service[] = [
    { name: 'kubelet', program: 'kubelet', args: components.kubeletArgs(layout) },
    {
      name: 'kube-controller-manager',
      program: 'kube-controller-manager',
      args: components.controllerManagerArgs(layout),
    },
    { name: 'kube-scheduler', program: 'kube-scheduler', args: components.schedulerArgs(layout) },
    { name: 'kube-proxy', program: 'kube-proxy', args: [`--config=${etcPath}/kube-proxy.json`] },
    { name: 'coredns', program: 'coredns', args: ['-conf', `${etcPath}/Corefile`] },
  ]
  for (const service of services) await start(lab, service)
}

async function start(lab: Lab, service: components.Service): Promise<void> {
  const program = lab.programs.get(service.program) ?? (await findSystemProgram(service.program))
  if (program === undefined) throw new Error(`there is no ${service.program}`)
  lab.failed.signal.throwIfAborted()
  await startInside(lab.sandbox, { ...service, program })
}

/** The first component that ends, at the start or later, is told of, and fails a start. */
function watchForEnds({ layout, failed, report }: Lab): void {
  const options = { persistent: false, signal: failed.signal }
  watch(layout.etcPath, options, (_event, file) => {
    if (!file?.endsWith('.ended') || failed.signal.aborted) return
    const told = `${file.replace('.ended', '')} ended, though it should run`
    report(told)
    failed.abort(new Error(told))
  }).on('error', () => {})
}

function until<T>(
  lab: Lab,
  what: string,
  condition: () => Promise<T | undefined | false>,
  intervalMs = 150,
): Promise<T> {
  return waitFor(condition, { what, timeoutMs: 90_000, intervalMs, signal: lab.failed.signal })
}

async function writeConfigs(lab: Lab): Promise<void> {
  const { layout, sandbox } = lab
  const { etcPath, pkiPath, network } = layout
  const cniBinPath = await findCniPath()
  if (cniBinPath === undefined) throw new Error('there are no CNI plugins')
  await mkdir(join(etcPath, 'cni'))
  const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`
  const files: Readonly<Record<string, string>> = {
    'kubelet.json': json(configs.kubeletConfig(layout, lab.snapshotter === 'overlayfs')),
    'kube-proxy.json': json(configs.kubeProxyConfig(layout)),
    'containerd.toml': configs.containerdConfig(lab.snapshotter, cniBinPath, etcPath),
    'cni/lab.conflist': json(configs.cniConfig(network)),
    Corefile: configs.corefile(layout),
    'resolv.conf': '',
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(etcPath, name), text)
  const ca = await readFile(join(pkiPath, 'ca.crt'))
  for (const name of kubeconfigClients) {
    const text = kubeconfigOf({
      server: `https://${network.nodeIp}:6443`,
      ca,
      certificate: await readFile(join(pkiPath, `${name}.crt`)),
      key: await readFile(join(pkiPath, `${name}.key`)),
    })
    const path = name === 'admin' ? kubeconfigPathOf(sandbox) : join(etcPath, `${name}.kubeconfig`)
    await writeFile(path, text, { mode: 0o600 })
  }
}

const kubeconfigPathOf = (sandbox: Sandbox): string => join(sandbox.runPath, 'kubeconfig')

/** A pod's sandbox must only wait; `sleep` does, and is killed, not asked, when the pod ends. */
async function loadPauseImage(lab: Lab): Promise<void> {
  const root = join(lab.sandbox.runPath, 'pause')
  await rootfsOf(['sleep'], { into: root })
  const entrypoint = ['/usr/bin/sleep', 'infinity']
  await loadImage(storeOf(lab), { name: configs.pauseImage, root, entrypoint })
  await rm(root, { recursive: true })
}

/** Ready is more than the node's word: names resolve, and cluster addresses answer to the host. */
async function untilUsable(lab: Lab, cluster: Cluster): Promise<void> {
  const { network } = lab.layout
  await until(lab, 'the node to be ready', async () => {
    const { stdout } = await cluster.kubectl(['get', 'node', nodeName, '-o', 'json'])
    const node = JSON.parse(stdout) as {
      spec: { taints?: unknown[] }
      status: { conditions?: { type: string; status: string }[] }
    }
    const isReady = node.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True')
    return isReady === true && (node.spec.taints ?? []).length === 0
  })
  lab.report('node ready')
  await until(lab, 'the default service account', () =>
    cluster.kubectl(['get', 'serviceaccount', 'default', '-n', 'default']),
  )
  await until(lab, 'the cluster address of the API server', () =>
    canConnect(network.apiServiceIp, 443),
  )
  lab.report('Services ready')
  const resolver = new Resolver({ timeout: 1000, tries: 1 })
  resolver.setServers([network.nodeIp])
  await until(lab, 'CoreDNS', () => resolver.resolve4('kubernetes.default.svc.cluster.local'))
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: 1000 })
    const end = (isConnected: boolean) => {
      socket.destroy()
      resolve(isConnected)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
    socket.on('timeout', () => end(false))
  })
}

function clusterOf(lab: Lab): Cluster {
  const { sandbox, programs } = lab
  const stop = async () => {
    lab.failed.abort(new Error('the cluster was stopped'))
    await destroySandbox(sandbox.runPath)
  }
  return {
    ...clientsOf({
      kubeconfigPath: kubeconfigPathOf(sandbox),
      kubectlPath: programs.get('kubectl') ?? 'kubectl',
      helmPath: programs.get('helm') ?? 'helm',
      homePath: join(sandbox.runPath, 'home'),
    }),
    kind: 'lab',
    logsPath: sandbox.logsPath,
    network: lab.layout.network,
    loadImage: (image) => loadImage(storeOf(lab), image),
    loadArchive: (archivePath) => loadArchive(storeOf(lab), archivePath),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function storeOf({ sandbox, snapshotter, failed }: Lab): ImageStore {
  const { initPid, runPath } = sandbox
  return { initPid, runPath, snapshotter, signal: failed.signal }
}

async function recordRun(lab: Lab, cluster: Cluster): Promise<void> {
  const { sandbox } = lab
  const pids = await pidsInside(sandbox, [...lab.programs.keys(), 'containerd'])
  const record = await readRecord(sandbox.runPath)
  if (record === undefined) throw new Error(`${sandbox.runPath} lost its record`)
  const { initPid } = sandbox
  const { kubeconfigPath } = cluster
  const { network } = lab.layout
  const facts = { initPid, pids, kubeconfigPath, network, snapshotter: lab.snapshotter }
  await writeRecord(sandbox.runPath, { ...record, ...facts })
}

/** The last lines of every log, for the error of a start that failed. */
async function logTails(sandbox: Sandbox): Promise<string> {
  const names = (await readdir(sandbox.logsPath)).filter((name) => name.endsWith('.log'))
  const tails = names.map(async (name) => {
    const text = await readFile(join(sandbox.logsPath, name), 'utf8')
    const lines = text.trimEnd().split('\n').slice(-8)
    return `--- ${name}\n${lines.map((line) => line.slice(0, 400)).join('\n')}`
  })
  return (await Promise.all(tails)).join('\n')
}

function timed(report: Report): Report {
  const startedAt = performance.now()
  return (line) => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    report(`${seconds.padStart(6)} s  ${line}`)
  }
}
