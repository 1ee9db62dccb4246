/** What the control plane says of a primary beside configurations, and what it learns of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import {
  LineDecoder,
  type ServerMessage,
  type SidecarMessage,
  encodeLine,
  serverMessageKinds,
} from '../../common/contract/stream.ts'
import { silentLog } from '../../common/log.ts'
import { until } from '../../test/support/servers.ts'
import { createStreamServer, sharedTokenAuthentication } from './index.ts'

const base = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})
const key = 'shop/cache'

const at = (epoch: number, grantTtlMs?: number, hasPrimary = true): ProxyConfig => ({
  ...base,
  epoch,
  upstream: {
    ...base.upstream,
    discovery: 'operator',
    ...(grantTtlMs !== undefined && { grantTtlMs }),
    ...(hasPrimary && { primary: { host: 'a', port: 1 } }),
  },
})

/** A server, one sidecar that is connected to it, and whether the server leads. */
async function scene(t: TestContext) {
  const state = { isLeading: true }
  const server = createStreamServer(
    { authenticate: sharedTokenAuthentication('secret'), isServing: () => state.isLeading },
    { log: silentLog, clock: systemClock },
  )
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => server.stop())
  const request = httpRequest({
    host: '127.0.0.1',
    port,
    path: '/v1/stream?namespace=shop&name=cache',
    method: 'POST',
    agent: false,
    headers: { authorization: 'Bearer secret' },
  })
  request.on('error', () => {})
  request.flushHeaders()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.setEncoding('utf8').on('error', () => {})
  const seen: ServerMessage[] = []
  const decoder = new LineDecoder<ServerMessage>(serverMessageKinds)
  response.on('data', (chunk: string) => seen.push(...decoder.push(chunk)))
  const { publisher } = server
  let changes = 0
  publisher.onChange(() => {
    changes += 1
  })
  const send = (message: SidecarMessage) => request.write(encodeLine(message))
  let version = 0
  /** Everything that was sent before has been dealt with when this returns. */
  const settled = async () => {
    version += 1
    send({ kind: 'ack', version, epoch: 0 })
    const isDone = () => publisher.sidecars(key)[0]?.acked?.version === version
    await until('what was sent is dealt with', isDone)
  }
  send({ kind: 'hello', sidecar: { id: 'pod-1', version: '0' } })
  await settled()
  let seq = 0
  /** Whether a renewal is answered; what comes after it is. */
  const isGranted = async (epoch: number, ttlMs: number) => {
    seq += 1
    send({ kind: 'renew', seq, epoch, ttlMs })
    await settled()
    publisher.suspect(key, 0, seq)
    const isAfter = (one: ServerMessage) => one.kind === 'suspect' && one.forMs === seq
    await until('what came after the renewal is here', () => seen.some(isAfter))
    return seen.some((one) => one.kind === 'grant' && one.seq === seq && one.epoch === epoch)
  }
  return { publisher, state, send, settled, isGranted, changes: () => changes }
}

test('only the primary that is published is granted, and for no longer than is published', async (t) => {
  const { publisher, isGranted } = await scene(t)
  assert.equal(await isGranted(3, 500), false, 'nothing is published')
  publisher.publish(key, at(3, 500))
  assert.equal(await isGranted(3, 500), true)
  assert.equal(await isGranted(3, 501), false)
  assert.equal(await isGranted(2, 500), false)
  assert.equal(await isGranted(4, 500), false)
  publisher.publish(key, at(4, 500, false))
  assert.equal(await isGranted(3, 500), false, 'it was withdrawn')
  assert.equal(await isGranted(4, 500), false, 'there is none')
  publisher.publish(key, at(5, 500))
  assert.equal(await isGranted(5, 500), true)
  publisher.publish(key, at(6))
  assert.equal(await isGranted(6, 500), false)
})

test('who does not lead any more grants nothing', async (t) => {
  const { publisher, state, isGranted } = await scene(t)
  publisher.publish(key, at(3, 500))
  assert.equal(await isGranted(3, 500), true)
  state.isLeading = false
  assert.equal(await isGranted(3, 500), false)
  state.isLeading = true
  assert.equal(await isGranted(3, 500), true)
})

test('when the primary was heard is told by the clock of the control plane, with its epoch', async (t) => {
  const { publisher, send, settled } = await scene(t)
  const view = () => publisher.sidecars(key)[0]
  const before = systemClock.monotonicMs()
  send({ kind: 'report', primary: 'ok', epoch: 3, heardMsAgo: 400 })
  await settled()
  const heardAtMs = view()?.heardAtMs ?? 0
  assert.ok(heardAtMs >= before - 400 && heardAtMs <= systemClock.monotonicMs() - 400)
  assert.equal(view()?.heardEpoch, 3)
  send({ kind: 'report', primary: 'failing', epoch: 3 })
  await settled()
  assert.equal(view()?.heardAtMs, heardAtMs, 'it is still when it was heard last')
  send({ kind: 'report', primary: 'none', epoch: 4 })
  await settled()
  assert.equal(view()?.heardAtMs, undefined, 'of the next one nothing was heard yet')
})

test('that all is as it was wakes nobody, unless there are doubts', async (t) => {
  const { publisher, send, settled, changes } = await scene(t)
  const told = async () => {
    const before = changes()
    send({ kind: 'report', primary: 'ok', epoch: 3, heardMsAgo: 1 })
    await settled()
    // The acknowledgement that `settled` sends is a change too.
    return changes() - before - 1
  }
  assert.equal(await told(), 1)
  assert.equal(await told(), 0)
  publisher.suspect(key, 3, 60_000)
  assert.equal(await told(), 1)
  publisher.suspect(key, 3, 0)
  assert.equal(await told(), 0)
})
