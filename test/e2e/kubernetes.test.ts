/**
 * The main job on a real cluster: chart installed, RedisProxy applied, pods injected, servers killed under a
 * writer, operator killed meanwhile. One story; each step needs the one before. `RESPMESH_E2E_JSON` names a
 * file for the figures; `RESPMESH_E2E_ONLY=apiAway,networkCut` plays only these disasters, and `RESPMESH_E2E_API_AWAY_MS`
 * says how long the API server is away.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { parseManifests } from '../../operator/api/manifest.ts'
import { planCluster, waitFor } from '../cluster/index.ts'
import { badManifests, manifestOf } from './support/bad-manifests.ts'
import { plannedChanges } from './support/changes.ts'
import { disasters } from './support/disasters.ts'
import {
  type Trial,
  Writer,
  type WriterStats,
  failover,
  median,
  settled,
} from './support/failover.ts'
import { missingProgram } from './support/images.ts'
import { plainPod, writerObjects } from './support/objects.ts'
import { killSidecar } from './support/process-kill.ts'
import { secured } from './support/secure.ts'
import { type Figures, type Step, isFullSize, isWhole } from './support/story.ts'
import {
  World,
  appNamespace,
  conditionOf,
  example,
  isReady,
  operatorName,
  operatorNamespace,
} from './support/world.ts'

const podTrials = isFullSize ? 20 : 3
const changeTrials = isFullSize ? 20 : 3
const disasterTrials = isFullSize ? 5 : 1
const operatorSelector = 'app.kubernetes.io/component=operator'
const figures: Figures = {}

const plan = await planCluster()
const missing = await missingProgram()
const obstacle =
  plan.kind === 'none' ? plan.reason : missing === undefined ? undefined : `${missing} is missing`
if (obstacle !== undefined) {
  console.log(`\n*** SKIPPED: the main job on Kubernetes was NOT tested: ${obstacle}\n`)
}

test('the main job on Kubernetes', { skip: obstacle ?? false }, async (t) => {
  const world = await World.begin((line) => t.diagnostic(line))
  try {
    await world.createNamespaces()
    // What comes after a step that failed could only fail too.
    const step: Step = async (name, work) => {
      let isDone = false
      await t.test(name, async (context) => {
        await work(context)
        isDone = true
      })
      assert.ok(isDone, `the story ended at: ${name}`)
    }
    await installation(world, step)
    const writer = await serving(world, step)
    if (isWhole) {
      await failovers(world, writer, step)
      await plannedChanges(world, writer, { step, figures, trials: changeTrials })
    }
    await disasters(world, writer, { step, figures, trials: disasterTrials })
    if (isWhole) {
      await withoutOperator(world, writer, step)
      await secured(world, t, step)
      await oneNamespace(world, step)
      await mistakes(world, (name, work) => t.test(name, work))
    }
  } catch (error) {
    t.diagnostic(await world.kubectl('get pods,redisproxies -A -o wide').catch(String))
    throw error
  } finally {
    await world.end()
  }
  const file = process.env['RESPMESH_E2E_JSON']
  if (file !== undefined) await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`)
})

async function installation(world: World, step: Step): Promise<void> {
  await step('helm install brings the CRD and an operator that gets ready', async () => {
    await world.installChart()
    await world.kubectl(
      'wait --for=condition=Established crd/redisproxies.respmesh.io --timeout=30s',
    )
    await world.readyPod(operatorSelector, operatorNamespace)
  })

  await step('three parked servers become a primary and two replicas', async () => {
    await world.app(`apply -f ${example('redis.yaml')} -f ${example('redisproxy.yaml')}`)
    await waitFor(
      async () => conditionOf(await world.redisProxy(), 'PrimaryAvailable') === 'True',
      {
        what: 'a primary',
        timeoutMs: 90_000,
      },
    )
    await waitFor(
      async () => {
        const members = (await world.redisProxy()).status?.members ?? []
        return (
          members.filter(({ role, state }) => role === 'replica' && state === 'Online').length === 2
        )
      },
      { what: 'two replicas', timeoutMs: 60_000 },
    )
  })
}

async function serving(world: World, step: Step): Promise<Writer> {
  await step(
    'a pod that asks gets a native sidecar, and its app reads and writes at once',
    async () => {
      await world.app(`apply -f ${example('app.yaml')}`)
      const pod = await world.readyPod('app=app')
      const [sidecar] = pod.spec.initContainers ?? []
      assert.deepEqual([sidecar?.name, sidecar?.restartPolicy], ['respmesh', 'Always'])
      assert.equal(pod.status.containerStatuses?.[0]?.restartCount, 0)
      const redis = async (words: string) => {
        const exec = `exec ${pod.metadata.name} -c app -- redis-cli -p 16379`
        return (await world.app(`${exec} ${words}`)).trim()
      }
      assert.equal(await redis('set greeting hello'), 'OK')
      assert.equal(await redis('get greeting'), 'hello')
      const metrics = await world.text(`${world.portOf(pod.metadata.name, 16380)}/metrics`)
      const limit = `respmesh_memory_limit_bytes ${192 * 1024 * 1024}`
      assert.ok(metrics.includes(limit), 'the sidecar knows the limit of its container')
      const log = await world.app(`logs ${pod.metadata.name} -c app`)
      assert.match(
        log.split('\n')[0] ?? '',
        /^wrote 1, read 1$/,
        'the app’s first connection works',
      )
    },
  )

  await step('kubectl get redisproxy tells the truth in one line', async () => {
    await world.apply(writerObjects())
    await world.readyPod('app=writer')
    await settled(world)
    const truth =
      /^cache\s+Replication\s+redis-\d\.redis:6379\s+3\/3\s+1\s+\d+\s+2\/2\s+True\s+\w+\s/
    // A sidecar may be ready by what it was started with, and connect a moment later.
    await waitFor(async () => truth.test(await world.app('get redisproxy cache --no-headers')), {
      what: 'the line to show two sidecars',
      timeoutMs: 30_000,
    })
  })
  const { metadata } = await world.readyPod('app=writer')
  return new Writer(world, metadata.name)
}

async function failovers(world: World, writer: Writer, step: Step): Promise<void> {
  const trials: Trial[] = []
  for (let index = 0; index < podTrials; index += 1) {
    await step(`the primary’s pod is killed, a replica takes over (${index + 1})`, async (t) => {
      trials.push(await run(t, 'pod'))
    })
  }
  await step('the primary’s process is killed, a replica takes over', async (t) => {
    figures['processKill'] = await run(t, 'process')
  })

  async function run(t: TestContext, how: 'pod' | 'process'): Promise<Trial> {
    const trial = await failover(world, writer, how)
    t.diagnostic(
      `${trial.how}: ${trial.from} → ${trial.to} (epoch ${trial.epoch}): first write after ${trial.killToWriteMs} ms, none for ${trial.stallMs} ms`,
    )
    const old = (await world.redisProxy()).status?.members?.find(
      ({ address }) => address === trial.from,
    )
    if (trial.to !== trial.from)
      assert.equal(old?.role, 'replica', 'the old primary came back as a replica')
    return trial
  }

  await step('no acknowledged write was lost', async (t) => {
    await waitFor(async () => (await writer.stats()).acked > 1000, {
      what: 'writes that are worth counting',
      timeoutMs: 60_000,
    })
    const verified = await writer.verify()
    const stats = await writer.stats()
    const p50 = median(trials.map(({ killToWriteMs }) => killToWriteMs))
    Object.assign(figures, {
      trials,
      killToFirstWriteP50Ms: p50,
      stallP50Ms: median(trials.map(({ stallMs }) => stallMs)),
      acknowledgedWrites: verified.acked,
      lostWrites: verified.missingCount,
      errors: stats.errors,
    })
    t.diagnostic(`kill to first write, p50 of ${trials.length}: ${p50} ms (aim: 2000 ms)`)
    t.diagnostic(
      `${verified.acked} acknowledged writes, ${verified.missingCount} lost; errors ${JSON.stringify(stats.errors)}`,
    )
    assert.equal(verified.missingCount, 0, verified.missing.join(' '))
  })
}

async function withoutOperator(world: World, writer: Writer, step: Step): Promise<void> {
  await step('the operator is killed and comes back: the data path does not notice', async (t) => {
    const before = await writer.stats()
    const old = await world.readyPod(operatorSelector, operatorNamespace)
    await world.kubectl(
      `-n ${operatorNamespace} delete pod ${old.metadata.name} --grace-period=0 --force`,
    )
    const beganMs = Date.now()
    await world.readyPod(operatorSelector, operatorNamespace)
    await settled(world)
    const after = await waitFor(
      async () => {
        const stats = await writer.stats()
        return stats.acked > before.acked + 500 && stats
      },
      { what: 'more writes', timeoutMs: 30_000 },
    )
    t.diagnostic(`operator back and sidecars current after ${Date.now() - beganMs} ms`)
    const longestMs = longestPause(before, after)
    figures['operatorKilled'] = { longestPauseMs: longestMs }
    t.diagnostic(`longest pause of writes meanwhile: ${longestMs} ms (less than 100 ms shows as 0)`)
    assert.deepEqual(after.errors, before.errors, 'no write failed')
    // The new operator starts on the machine that everything else runs on.
    assert.ok(longestMs < 3000, `writes paused for ${longestMs} ms`)
  })

  await step(
    'without an operator, a sidecar that crashes serves on from what it knew',
    async (t) => {
      await world.kubectl(`-n ${operatorNamespace} scale deployment ${operatorName} --replicas=0`)
      await waitFor(
        async () => (await world.pods(operatorSelector, operatorNamespace)).length === 0,
        { what: 'no operator', timeoutMs: 30_000 },
      )
      const { metadata } = await world.readyPod('app=writer')
      const before = await writer.stats()
      const isKilled = await killSidecar(world, metadata.name)
      if (isKilled) {
        await waitFor(
          async () => {
            const sidecar = (await world.pod(metadata.name)).status.initContainerStatuses?.[0]
            return sidecar?.restartCount === 1 && isReady(await world.pod(metadata.name))
          },
          { what: 'the sidecar to be started again', timeoutMs: 60_000 },
        )
      } else t.diagnostic('the sidecar’s process cannot be seen from here; it was not killed')
      const after = await waitFor(
        async () => {
          const stats = await writer.stats()
          return stats.acked > before.acked + 200 && stats
        },
        { what: 'writes to go on', timeoutMs: 30_000 },
      )
      const longestMs = longestPause(before, after)
      figures['sidecarKilled'] = { isKilled, longestPauseMs: longestMs }
      t.diagnostic(`longest pause of writes: ${longestMs} ms`)
      assert.equal((await writer.verify()).missingCount, 0)
      await world.kubectl(`-n ${operatorNamespace} scale deployment ${operatorName} --replicas=1`)
      const operator = await world.readyPod(operatorSelector, operatorNamespace)
      // A former one that was killed has the lease until it runs out.
      await waitFor(async () => (await world.leader()) === operator.metadata.name, {
        what: 'the new operator to lead',
        timeoutMs: 40_000,
      })
      await settled(world)
    },
  )

  await step('a change of the spec reaches the sidecar at once', async (t) => {
    const { metadata } = await world.readyPod('app=app')
    const config = `${world.portOf(metadata.name, 16380)}/config`
    const merge = (holdTimeout: string) =>
      world.app(
        `patch redisproxy cache --type=merge -p ${JSON.stringify({ spec: { proxy: { holdTimeout } } })}`,
      )
    await merge('7s')
    const beganMs = performance.now()
    await waitFor(
      async () => {
        const { timing } = await world.get<{ timing: { holdTimeoutMs: number } }>(config)
        return timing.holdTimeoutMs === 7000
      },
      { what: 'the sidecar to hold for 7 s', timeoutMs: 30_000, intervalMs: 10 },
    )
    const tookMs = Math.round(performance.now() - beganMs)
    figures['specToSidecarMs'] = tookMs
    t.diagnostic(`the sidecar obeys ${tookMs} ms after kubectl patch returned`)
    assert.ok(tookMs < 5000, `${tookMs} ms`)
  })

  await step(
    'of two operators one leads, and the other takes over at once when it is told to end',
    async (t) => {
      const scale = (count: number) =>
        world.kubectl(
          `-n ${operatorNamespace} scale deployment ${operatorName} --replicas=${count}`,
        )
      await scale(2)
      const pods = await waitFor(
        async () => {
          const found = await world.pods(operatorSelector, operatorNamespace)
          return found.length === 2 && found.every(isReady) && found
        },
        { what: 'two operators', timeoutMs: 60_000 },
      )
      const first = await world.leader()
      assert.ok(pods.some(({ metadata }) => metadata.name === first))
      await world.kubectl(`-n ${operatorNamespace} delete pod ${first} --wait=false`)
      const beganMs = Date.now()
      const second = await waitFor(
        async () => {
          const found = await world.leader()
          return found !== undefined && found !== '' && found !== first && found
        },
        { what: 'another leader', timeoutMs: 30_000 },
      )
      const tookMs = Date.now() - beganMs
      t.diagnostic(`${second} leads ${tookMs} ms after ${first} was told to end`)
      figures['leaderHandOverMs'] = tookMs
      await scale(1)
      await world.readyPod(operatorSelector, operatorNamespace)
      await settled(world)
      const stats = await writer.stop()
      assert.ok(stats.lastAckMs > 0)
    },
  )
}

async function oneNamespace(world: World, step: Step): Promise<void> {
  await step('with rights in one namespace only, the operator does the same there', async () => {
    await world.installChart(`watchNamespace=${appNamespace}`)
    const pod = await world.readyPod(operatorSelector, operatorNamespace)
    await settled(world)
    const log = await world.kubectl(`-n ${operatorNamespace} logs ${pod.metadata.name}`)
    assert.doesNotMatch(log, /forbidden/)
    const path = '/apis/rbac.authorization.k8s.io/v1/clusterroles/respmesh-operator'
    const { rules } = await world.get<{ rules: readonly { resources: readonly string[] }[] }>(path)
    assert.deepEqual(rules.flatMap(({ resources }) => resources).toSorted(), [
      'mutatingwebhookconfigurations',
      'tokenreviews',
    ])
  })
}

async function mistakes(world: World, step: Step): Promise<void> {
  for (const bad of badManifests) {
    await step(
      `${bad.name}: refused by the API server and by the file checker, field named`,
      async () => {
        const manifest = manifestOf(bad)
        const refusal = await world.refusalOf(manifest)
        assert.ok(refusal.includes(bad.field), `the API server said: ${refusal}`)
        assert.throws(
          () => parseManifests(JSON.stringify(manifest), 'bad.yaml'),
          (error) => error instanceof Error && error.message.includes(bad.field),
        )
      },
    )
  }

  await step(
    'a pod that asks for what is not there is made all the same, with a warning',
    async () => {
      const warning = await world.apply([plainPod({ 'respmesh.io/inject': 'nosuch' })])
      assert.match(warning, /Warning: respmesh: no sidecar: there is no RedisProxy "nosuch"/)
      const pod = await world.pod('plain')
      assert.equal(pod.spec.initContainers, undefined)
      const events = await waitFor(
        async () => {
          const text = await world.app('get events --field-selector reason=InjectionSkipped')
          return text.includes('pod/plain') && text
        },
        { what: 'an Event', timeoutMs: 20_000 },
      )
      assert.match(events, /nosuch/)
    },
  )

  await step('an annotation with a typo is a warning too', async () => {
    const annotations = { 'respmesh.io/inject': 'cache', 'respmesh.io/memory-limt': '1Gi' }
    const warning = await world.apply([plainPod(annotations, 'typo')], '--dry-run=server')
    assert.match(warning, /Warning: respmesh: annotation respmesh.io\/memory-limt is not known/)
  })
}

/** Of those that began after `before`. */
function longestPause(before: WriterStats, after: WriterStats): number {
  const pauses = after.stalls.slice(before.stalls.length)
  return Math.max(0, ...pauses.map(({ fromMs, toMs }) => toMs - fromMs))
}
