/** The part of the story with TLS and passwords on every side, and with passwords that change. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { waitFor } from '../../cluster/index.ts'
import { createAuthority } from '../../support/certificates.ts'
import {
  type Passwords,
  certificateSecrets,
  guestPod,
  passwordSecrets,
  secureProxy,
  secureServers,
  socketDirectory,
} from './secure-objects.ts'
import { type World, conditionOf } from './world.ts'

type Step = (name: string, work: (t: TestContext) => Promise<void>) => Promise<void>

const old: Passwords = { app: 'app-1', admin: 'admin-1', clients: 'clients-1' }
const renewed: Passwords = { app: 'app-2', admin: 'admin-2', clients: 'clients-2' }

const certificate = '--tls --cacert /tls/ca.crt --cert /tls/tls.crt --key /tls/tls.key'
const asRoot = `${certificate} --user root -a root`
const byTls = `-p 16389 ${certificate}`
const bySocket = `-s ${socketDirectory}/redis.sock`

export async function secured(world: World, t: TestContext, step: Step): Promise<void> {
  const redis = (way: string, words: string) => cli(world, 'guest', 'app', `${way} ${words}`)

  await step('servers with TLS, certificates and users get a primary and a sidecar', async () => {
    const authority = createAuthority(t)
    await world.apply([
      ...certificateSecrets(authority),
      ...passwordSecrets(old),
      ...secureServers(old),
      secureProxy(),
    ])
    await waitFor(async () => isServing(world), { what: 'a primary', timeoutMs: 90_000 })
    await world.apply([guestPod()])
    await world.readyPod('app=guest')
  })

  await step('the app is served by TLS and by the unix socket, with password only', async () => {
    const given = `-a ${old.clients}`
    assert.equal(await redis(byTls, `${given} set way tls`), 'OK')
    assert.equal(await redis(bySocket, `${given} get way`), 'tls')
    assert.match(await redis(bySocket, 'get way'), /NOAUTH/)
    assert.match(await redis(bySocket, '-a wrong get way'), /WRONGPASS|NOAUTH/)
    await assert.rejects(redis('-p 16389 --tls --cacert /tls/ca.crt', `${given} get way`))
    await assert.rejects(redis('-p 16379', `${given} get way`), 'there is no plain port')
    // The app can connect to what is there, and change nothing of it.
    await assert.rejects(world.app(`exec guest -c app -- sh -c :>${socketDirectory}/file`))
  })

  await step('commands are allowed and refused as the RedisProxy says', async () => {
    const given = `-a ${old.clients}`
    assert.match(await redis(byTls, `${given} config get maxmemory`), /^maxmemory/)
    assert.match(await redis(byTls, `${given} keys *`), /PROXY|NOPERM/)
    assert.match(await redis(byTls, `${given} config set maxmemory 1`), /PROXY|NOPERM/)
  })

  await step('passwords are changed everywhere, and nobody is restarted or refused', async (t) => {
    await rotate(world, t)
  })

  await world.app('delete pod guest --wait=false')
  await world.app('delete redisproxy vault')
  await world.app('delete statefulset vault --wait=false')
}

/** New ones are added at the servers, then given to respmesh, then the old ones are taken away. */
async function rotate(world: World, t: TestContext): Promise<void> {
  await atServers(world, `acl setuser app >${renewed.app}`)
  await atServers(world, `acl setuser respmesh >${renewed.admin}`)
  const beganMs = Date.now()
  await world.apply(passwordSecrets(renewed))
  const set = (password: string, value: string) =>
    cli(world, 'guest', 'app', `${byTls} -a ${password} set rotated ${value}`)
  await waitFor(async () => (await set(renewed.clients, 'clients')) === 'OK', {
    what: 'the new client password to be taken',
    timeoutMs: 150_000,
    intervalMs: 500,
  })
  t.diagnostic(`the sidecar takes the new client password after ${Date.now() - beganMs} ms`)
  assert.match(await set(old.clients, 'x'), /WRONGPASS|NOAUTH/)

  await atServers(world, `acl setuser app <${old.app}`)
  await atServers(world, `acl setuser respmesh <${old.admin}`)
  await waitFor(
    async () => {
      // Whatever is connected now has logged in with a password that still holds.
      await atServers(world, 'client kill user app')
      return (await set(renewed.clients, 'servers')) === 'OK'
    },
    { what: 'the new password of the servers to be used', timeoutMs: 60_000 },
  )
  await atServers(world, 'client kill user respmesh')
  for (const pod of ['vault-0', 'vault-1']) {
    const list = () => cli(world, pod, 'redis', `${asRoot} client list`)
    await waitFor(async () => (await list()).includes(' user=respmesh '), {
      what: `the operator to log in at ${pod} with its new password`,
      timeoutMs: 60_000,
    })
  }
  await waitFor(async () => isServing(world), { what: 'all in order', timeoutMs: 30_000 })
  const { status } = await world.pod('guest')
  assert.equal(status.initContainerStatuses?.[0]?.restartCount, 0, 'the sidecar is the same')
  assert.equal(await set(renewed.clients, 'end'), 'OK')
  t.diagnostic(`all passwords are changed after ${Date.now() - beganMs} ms`)
}

async function isServing(world: World): Promise<boolean> {
  const proxy = await world.redisProxy('vault')
  const members = proxy.status?.members ?? []
  return (
    conditionOf(proxy, 'Ready') === 'True' &&
    members.length === 2 &&
    members.every(({ state }) => state === 'Online')
  )
}

async function atServers(world: World, words: string): Promise<void> {
  for (const pod of ['vault-0', 'vault-1']) {
    const reply = await cli(world, pod, 'redis', `${asRoot} ${words}`)
    assert.match(reply, /^(OK|\d+)$/, words)
  }
}

async function cli(world: World, pod: string, container: string, words: string): Promise<string> {
  return (await world.app(`exec ${pod} -c ${container} -- redis-cli ${words}`)).trim()
}
