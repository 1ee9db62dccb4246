/** `node test/cluster/main.ts up|down|build|status`: the test cluster from a shell. */
import { parseArgs } from 'node:util'
import { planCluster, startCluster } from './cluster.ts'
import { destroySandbox, isAlive, listRuns, readRecord } from './sandbox.ts'
import { cachePath, ensurePrograms, programStates } from './toolchain.ts'
import type { ClusterKind } from './types.ts'

const usage = `A real Kubernetes of one node for tests, without Docker.

  node test/cluster/main.ts up [--kind lab|kind|kubeconfig] [--logs DIR]
      starts a cluster which stays, and prints the path of its KUBECONFIG
  node test/cluster/main.ts down [--all]
      ends the clusters that "up" started and what crashed runs left;
      with --all also those of tests which are running
  node test/cluster/main.ts build
      builds what is not in the cache
  node test/cluster/main.ts status
      says what would be used, what is cached, and what runs
`

// A reader that stops reading, such as `head`, must not stop a start halfway.
process.stdout.on('error', () => {})
const print = (line: string) => process.stdout.write(`${line}\n`)

async function up(kind: ClusterKind | undefined, logsPath: string | undefined): Promise<void> {
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)))
  }
  const cluster = await startCluster({
    isDetached: true,
    report: print,
    signal: interrupted.signal,
    ...(kind && { kind }),
    ...(logsPath !== undefined && { logsPath }),
  })
  print('')
  print(`export KUBECONFIG=${cluster.kubeconfigPath}`)
  print(`kubectl:  ${cluster.kubectlPath}`)
  print(`helm:     ${cluster.helmPath}`)
  if (cluster.logsPath !== undefined) print(`logs:     ${cluster.logsPath}`)
}

async function down(isAll: boolean): Promise<void> {
  let endedCount = 0
  for (const runPath of await listRuns()) {
    const record = await readRecord(runPath)
    const isOurs = record === undefined || record.isDetached || !(await isAlive(runPath))
    if (!isOurs && !isAll) {
      print(`left ${runPath} alone: a test (process ${record.ownerPid}) runs it`)
      continue
    }
    await destroySandbox(runPath)
    print(`ended ${runPath}`)
    endedCount++
  }
  if (endedCount === 0) print('no cluster to end')
}

async function status(): Promise<void> {
  const plan = await planCluster()
  switch (plan.kind) {
    case 'none':
      print(`no cluster can be had: ${plan.reason}`)
      break
    case 'kubeconfig':
      print(`would use the cluster of ${plan.path}`)
      break
    case 'kind':
      print(`would use kind (${plan.program})`)
      break
    case 'lab':
      print('would use the lab')
      for (const step of plan.todo) print(`  to do first, by itself: ${step}`)
  }
  print(`cache ${cachePath()}`)
  for (const { name, version, isBuilt } of await programStates()) {
    print(`  ${isBuilt ? 'built  ' : 'missing'} ${name} ${version}`)
  }
  for (const runPath of await listRuns()) {
    const record = await readRecord(runPath)
    print(`run ${runPath} ${(await isAlive(runPath)) ? 'alive' : 'dead'}`)
    if (record?.kubeconfigPath !== undefined) print(`  KUBECONFIG=${record.kubeconfigPath}`)
    for (const [name, pid] of Object.entries(record?.pids ?? {})) print(`  ${pid} ${name}`)
  }
}

function kindOf(value: string | undefined): ClusterKind | undefined {
  if (value === undefined || value === 'lab' || value === 'kind' || value === 'kubeconfig') {
    return value
  }
  throw new Error(`--kind ${value}: want lab, kind or kubeconfig`)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kind: { type: 'string' },
      logs: { type: 'string' },
      all: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [command] = positionals
  if (values.help) return void process.stdout.write(usage)
  if (command === 'up') return up(kindOf(values.kind), values.logs)
  if (command === 'down') return down(values.all)
  if (command === 'build') return void (await ensurePrograms(print))
  if (command === 'status') return status()
  process.stderr.write(usage)
  process.exitCode = 2
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
