import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { encodeCommand, startServer, until } from '../../support/servers.ts'
import { serves, startSidecar } from './sidecar-process.ts'

async function scene(context: TestContext) {
  const redis = await startServer()
  context.after(() => redis.stop())
  const sidecar = startSidecar(
    context,
    `--upstream 127.0.0.1:${redis.port} --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
  )
  await serves(sidecar)
  const inFlight = async () =>
    (await sidecar.get('/metrics')).body.match(/^respmesh_commands_in_flight (\d+)$/m)?.[1]
  const port = await sidecar.port()
  /** A command that the server answers only when it is let go on. */
  const sendSlow = () => {
    const socket = connect(port, '127.0.0.1')
    context.after(() => socket.destroy())
    let received = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      received += chunk
    })
    socket.on('error', () => {})
    socket.write(encodeCommand(['SET', 'slow', 'yes']))
    return { socket, received: () => received }
  }
  return { redis, sidecar, inFlight, sendSlow, port }
}

test('SIGTERM lets commands in flight finish, takes no new client, and ends with 0', async (context) => {
  const { redis, sidecar, inFlight, sendSlow, port } = await scene(context)
  redis.signal('SIGSTOP')
  const slow = sendSlow()
  await until('the command is in flight', async () => Number(await inFlight()) > 0)
  sidecar.signal('SIGTERM')
  await sidecar.logged('stopping; commands in flight are finished')
  await until('no new client is taken', async () => {
    const socket = connect(port, '127.0.0.1')
    const outcome = await new Promise<string>((resolve) => {
      socket.once('connect', () => resolve('connected')).once('error', () => resolve('refused'))
    })
    socket.destroy()
    return outcome === 'refused'
  })
  redis.signal('SIGCONT')
  assert.equal(await sidecar.ended, 0)
  await until('the reply arrived', () => slow.received() === '+OK\r\n')
})

test('a second signal ends it at once', async (context) => {
  const { redis, sidecar, inFlight, sendSlow } = await scene(context)
  redis.signal('SIGSTOP')
  context.after(() => redis.signal('SIGCONT'))
  sendSlow()
  await until('the command is in flight', async () => Number(await inFlight()) > 0)
  sidecar.signal('SIGTERM')
  await sidecar.logged('stopping; commands in flight are finished')
  sidecar.signal('SIGTERM')
  assert.equal(await sidecar.ended, 128 + 15)
})
