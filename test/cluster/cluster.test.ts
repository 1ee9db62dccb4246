/**
 * The test cluster is a Kubernetes that one can believe: what the end-to-end tests build on is tried
 * here once, and so is that nothing of it stays behind.
 */
import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import {
  loadRedisImage,
  loadWebhookImage,
  redisObjects,
  sidecarPod,
  unreadyObjects,
  webhookConfiguration,
  webhookObjects,
} from './fixtures.ts'
import { type Cluster, planCluster, run, startCluster, waitFor } from './index.ts'
import { bridgeAddress } from './network.ts'
import { readRecord } from './sandbox.ts'
import { processesOf, traces } from './traces.ts'

const plan = await planCluster()
const skip = plan.kind === 'none' ? `no Kubernetes can be had here: ${plan.reason}` : false
const onlyLab =
  plan.kind === 'lab' ? {} : { skip: `only a lab of the test's own does this, not ${plan.kind}` }

const namespace = 'cluster-test'
const podTimeout = '--timeout=90s'
const report = (line: string) => process.stderr.write(`${line}\n`)

// A suite that is skipped counts no skipped test: this one says it.
if (skip !== false) test('a Kubernetes to test with', { skip })

describe('the test cluster', { skip }, () => {
  let cluster: Cluster

  /** `kubectl('get pod NAME')`; words with spaces in them go into `words`. */
  const kubectl = async (text: string, ...words: readonly string[]) => {
    const { stdout } = await cluster.kubectl(['-n', namespace, ...text.split(' '), ...words])
    return stdout.trim()
  }
  const apply = (...items: readonly object[]) =>
    cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })

  before(async () => {
    cluster = await startCluster({ report })
    await loadRedisImage(cluster)
    await cluster.kubectl(['create', 'namespace', namespace])
    await apply(...redisObjects())
    await kubectl(`rollout status statefulset/redis ${podTimeout}`)
  })

  after(async () => {
    if (plan.kind === 'kubeconfig') await kubectl(`delete namespace ${namespace}`)
    await cluster?.stop()
  })

  it('has a node that is ready, and tells its version', async () => {
    const version = JSON.parse(await kubectl('version -o json'))
    assert.match(version.serverVersion.gitVersion, /^v1\.\d+\.\d+/)
    await kubectl(`wait node --all --for=condition=Ready ${podTimeout}`)
  })

  it('runs a StatefulSet whose pods find each other by name', async () => {
    const ping = `exec redis-1 -- redis-cli -h redis-0.redis.${namespace}.svc.cluster.local ping`
    assert.equal(await kubectl(ping), 'PONG')
    const ip = await kubectl('get pod redis-0 -o jsonpath={.status.podIP}')
    const resolved = await kubectl('exec redis-1 -- getent ahostsv4 redis-0.redis')
    assert.ok(resolved.startsWith(`${ip} `), resolved)
  })

  it('names pods that are not ready if the Service publishes them', async () => {
    await apply(...unreadyObjects())
    const host = `first.unready.${namespace}.svc.cluster.local`
    await waitFor(() => kubectl(`exec redis-0 -- getent ahostsv4 ${host}`), {
      what: 'the name of a pod which is not ready',
      timeoutMs: 60_000,
    })
    const path = 'jsonpath={.status.containerStatuses[0].ready}'
    assert.equal(await kubectl(`get pod unready -o ${path}`), 'false')
  })

  it('runs a native sidecar before and beside the container it serves', async () => {
    await apply(sidecarPod())
    await kubectl(`wait pod/with-sidecar --for=condition=Ready ${podTimeout}`)
    const logs = await kubectl('logs with-sidecar -c app')
    assert.match(logs, /PONG/, 'the sidecar answered when the app started')
    const path = 'jsonpath={.status.initContainerStatuses[0].started}'
    assert.equal(await kubectl(`get pod with-sidecar -o ${path}`), 'true')
  })

  it('runs images as the user and with the files they were made with', async () => {
    assert.equal(await kubectl('exec with-sidecar -c app -- id -u'), '65532')
    assert.equal(await kubectl('exec with-sidecar -c app -- cat /etc/greeting'), 'hello')
  })

  it('gives pods tokens for an audience, and reviews them', async () => {
    const path = '/var/run/secrets/respmesh/token'
    const token = await kubectl(`exec with-sidecar -c app -- cat ${path}`)
    const review = async (audience: string) => {
      const { stdout } = await cluster.kubectl(['create', '-o', 'json', '-f', '-'], {
        input: JSON.stringify({
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: [audience] },
        }),
      })
      return JSON.parse(stdout).status
    }
    const status = await review('respmesh')
    assert.equal(status.authenticated, true)
    assert.equal(status.user.username, `system:serviceaccount:${namespace}:default`)
    assert.notEqual((await review('another')).authenticated, true)
  })

  it('allows what RBAC allows, and nothing else', async () => {
    const account = `system:serviceaccount:${namespace}:default`
    const may = (verb: string) =>
      kubectl(`auth can-i ${verb} secrets --as ${account}`).then(
        (answer) => answer === 'yes',
        () => false,
      )
    assert.equal(await may('list'), false)
    await kubectl('create role reader --verb=list --resource=secrets')
    const subject = `--serviceaccount=${namespace}:default`
    await kubectl(`create rolebinding reader --role=reader ${subject}`)
    await waitFor(() => may('list'), { what: 'the role to hold', timeoutMs: 30_000 })
    assert.equal(await may('delete'), false)
  })

  it('provides volumes that outlive a pod', async () => {
    await kubectl('exec redis-0 -- redis-cli set kept yes')
    await kubectl('exec redis-0 -- redis-cli save')
    await kubectl(`delete pod redis-0 --wait ${podTimeout}`)
    await kubectl(`rollout status statefulset/redis ${podTimeout}`)
    assert.equal(await kubectl('exec redis-0 -- redis-cli get kept'), 'yes')
  })

  it('installs a chart with helm', async () => {
    const chart = await mkdtemp(join(tmpdir(), 'respmesh-chart-'))
    await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: tiny\nversion: 0.1.0\n')
    await run('mkdir', [join(chart, 'templates')])
    const template = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: '{{ .Release.Name }}' },
      data: { minor: '{{ .Capabilities.KubeVersion.Minor }}' },
    }
    await writeFile(join(chart, 'templates', 'object.yaml'), JSON.stringify(template))
    await cluster.helm(['install', 'tiny', chart, '-n', namespace])
    const version = JSON.parse(await kubectl('version -o json'))
    const minor = await kubectl('get configmap tiny -o jsonpath={.data.minor}')
    assert.equal(minor, version.serverVersion.minor)
    await cluster.helm(['uninstall', 'tiny', '-n', namespace])
    await rm(chart, { recursive: true })
  })

  it('asks a webhook through its Service', async () => {
    const certificate = await loadWebhookImage(cluster, `webhook.${namespace}.svc`)
    await apply(...webhookObjects())
    await kubectl(`wait pod/webhook --for=condition=Ready ${podTimeout}`)
    await apply(webhookConfiguration(namespace, certificate))
    const refusal = await waitFor(
      async () => {
        const told = await kubectl('create configmap probe --dry-run=server').catch(String)
        return told.includes('denied the request') && told
      },
      { what: 'the webhook to be asked', timeoutMs: 30_000 },
    )
    assert.match(refusal, /refused by the webhook/)
    await kubectl('delete validatingwebhookconfiguration cluster-test')
  })

  it('lets the host reach a Service at its cluster address', onlyLab, async () => {
    const ip = await kubectl('get service redis-any -o jsonpath={.spec.clusterIP}')
    const reply = await waitFor(() => ask(ip, 6379, 'PING\r\n'), {
      what: `an answer of ${ip}`,
      timeoutMs: 20_000,
    })
    assert.equal(reply, '+PONG\r\n')
  })

  it('lets a pod reach the host', onlyLab, async () => {
    const server = createServer((socket) => socket.end('+HOST\r\n'))
    server.listen(0, cluster.network?.hostIp)
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const target = `-h ${address.address} -p ${address.port}`
    assert.equal(await kubectl(`exec redis-0 -- redis-cli ${target} ping`), 'HOST')
    server.close()
  })

  it('keeps the address of the bridge as pods come and go', onlyLab, async () => {
    const record = await readRecord(join(cluster.kubeconfigPath, '..'))
    const args = ['-t', `${record?.initPid}`, '-n', 'ip', '-o', 'link', 'show']
    const bridge = await run('nsenter', [...args, 'cni0'])
    const ports = await run('nsenter', [...args, 'master', 'cni0'])
    assert.ok(ports.stdout.split('\n').length > 2, 'pods are connected')
    assert.ok(bridge.stdout.includes(bridgeAddress), bridge.stdout)
  })

  it('names nothing for longer than a second, and nothing of the world', onlyLab, async () => {
    const resolver = new Resolver({ timeout: 2000, tries: 2 })
    resolver.setServers([cluster.network?.nodeIp ?? ''])
    const host = `redis-0.redis.${namespace}.svc.cluster.local`
    const [address] = await resolver.resolve4(host, { ttl: true })
    assert.ok(address !== undefined && address.ttl <= 1, JSON.stringify(address))
    await assert.rejects(resolver.resolve4('example.com'), { code: 'ENOTFOUND' })
  })

  it('runs beside another one', onlyLab, async () => {
    const second = await startCluster({ kind: 'lab' })
    try {
      assert.notEqual(second.network?.cidr, cluster.network?.cidr)
      assert.equal((await second.kubectl(['get', 'pods', '-A', '-o', 'name'])).stdout, '')
    } finally {
      await second.stop()
    }
    assert.equal(await kubectl('exec redis-0 -- redis-cli ping'), 'PONG')
  })

  it('leaves nothing behind when it stops', onlyLab, async () => {
    const runPath = join(cluster.kubeconfigPath, '..')
    const cidr = cluster.network?.cidr
    assert.ok(processesOf(runPath).length > 10, 'the search for processes finds them')
    assert.ok(
      (await traces(runPath, cidr)).some((line) => line.startsWith('10.')),
      'and its route',
    )
    await cluster.stop()
    let left: readonly string[] = []
    // What was killed may take a moment to be gone on a busy machine.
    await waitFor(async () => (left = await traces(runPath, cidr)).length === 0, {
      what: `nothing to be left of ${runPath}`,
      timeoutMs: 5000,
    }).catch(() => assert.deepEqual(left, []))
  })

  it('leaves nothing behind when its owner is killed', onlyLab, async () => {
    const door = JSON.stringify(join(import.meta.dirname, 'index.ts'))
    const script = `
      import { startCluster } from ${door}
      const cluster = await startCluster({ kind: 'lab' })
      process.stderr.write(cluster.kubeconfigPath)
      process.kill(process.pid, 'SIGKILL')`
    const error = await run(process.execPath, ['--input-type=module', '-e', script]).then(
      () => assert.fail('it was not killed'),
      (reason: { stderr: string }) => reason,
    )
    const runPath = join(error.stderr.trim(), '..')
    assert.match(basename(runPath), /^respmesh-cluster-/)
    await waitFor(async () => (await traces(runPath)).length === 0, {
      what: `nothing to be left of ${runPath}`,
      timeoutMs: 20_000,
    })
  })
})

function ask(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 3000 }, () => socket.write(text))
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} is silent`)))
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      resolve(chunk.toString())
      socket.destroy()
    })
  })
}
