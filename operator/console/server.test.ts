import assert from 'node:assert/strict'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import {
  type AskedOperation,
  type ConsoleSource,
  type ConsoleState,
  startConsole,
} from './index.ts'

const state: ConsoleState = {
  name: 'shop/cache',
  ready: { status: 'True', reason: 'Ready', message: '<i>fine</i>' },
  phase: 'Steady',
  epoch: 2,
  primary: 'a:1',
  members: [],
  sidecars: [],
  events: [],
  canAct: true,
  canSwitch: true,
}

async function start(context: TestContext) {
  const killed: string[] = []
  const asked: AskedOperation[] = []
  let changed = () => {}
  const source: ConsoleSource = {
    state: () => state,
    onChange(listener) {
      changed = listener
      return () => {}
    },
    kill(address) {
      killed.push(address)
      return address === 'a:1'
    },
    startAgain: async () => true,
    ask: (operation) => (asked.push(operation) > 1 ? undefined : 'switchover-1'),
    operation: (name) =>
      name === 'switchover-1' ? { name, phase: 'Running', message: 'clients are held' } : undefined,
  }
  const console = await startConsole(0, source)
  context.after(() => console.stop())
  const page = await fetch(console.url)
  const html = await page.text()
  const token = /data-token="([^"]+)"/.exec(html)?.[1] ?? ''
  return { url: console.url, page, html, token, killed, asked, change: () => changed() }
}

test('the page brings its own policy and no data', async (context) => {
  const { page, html } = await start(context)
  const policy = page.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/)
  assert.doesNotMatch(policy, /unsafe/)
  assert.doesNotMatch(html, /<i>/)
  assert.doesNotMatch(html, /https?:\/\//)
})

test('the state is served as JSON and pushed when it changes', async (context) => {
  const { url, change } = await start(context)
  assert.deepEqual(await (await fetch(`${url}/api/status`)).json(), state)
  const stop = new AbortController()
  const stream = await fetch(`${url}/api/events`, { signal: stop.signal })
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
  assert.match((await reader?.read())?.value ?? '', /^data: \{/)
  change()
  assert.match((await reader?.read())?.value ?? '', /^data: \{/)
  stop.abort()
})

test('only the page itself may kill', async (context) => {
  const { url, token, killed } = await start(context)
  const post = (headers: Record<string, string>, body = '{"address":"a:1"}') =>
    fetch(`${url}/api/kill`, { method: 'POST', body, headers }).then(({ status }) => status)
  const own = { origin: url, 'x-respmesh-token': token }
  assert.equal(await post({}), 403)
  assert.equal(await post({ origin: url }), 403)
  assert.equal(await post({ 'x-respmesh-token': token, origin: 'null' }), 403)
  assert.equal(await post({ ...own, origin: 'http://elsewhere' }), 403)
  assert.equal(await post({ ...own, 'x-respmesh-token': `${token.slice(1)}x` }), 403)
  assert.deepEqual(killed, [])
  assert.equal(await post(own, 'nonsense'), 400)
  assert.equal(await post(own, '{"address":"b:1"}'), 409)
  assert.equal(await post(own), 200)
  assert.deepEqual(killed, ['b:1', 'a:1'])
})

test('a name that was made to point here is refused', async (context) => {
  const { url } = await start(context)
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  request(`${url}/api/status`, { headers: { host: 'evil.example' } }, (response) => {
    response.resume()
    resolve(response.statusCode)
  }).end()
  assert.equal(await promise, 421)
})

test('an unknown path is a 404', async (context) => {
  const { url } = await start(context)
  assert.equal((await fetch(`${url}/x`)).status, 404)
})

test('a program of this machine may ask for an operation, and for how it goes', async (context) => {
  const { url, token, asked } = await start(context)
  const known = (await (await fetch(`${url}/api/token`)).json()) as { token: string }
  assert.equal(known.token, token)
  const headers = { 'x-respmesh-token': token }
  const post = async (body: object, more: Record<string, string> = {}) => {
    const init = { method: 'POST', body: JSON.stringify(body), headers: { ...headers, ...more } }
    const response = await fetch(`${url}/v1/operations`, init)
    return { status: response.status, answer: (await response.json()) as Record<string, string> }
  }
  const wanted = { kind: 'Switchover', proxy: 'cache', to: 'b:1' }
  const foreign = await post(wanted, { origin: 'http://elsewhere' })
  assert.equal(foreign.status, 403)
  const mistyped = await post({ kind: 'Switchover', to: 'b' })
  assert.equal(mistyped.status, 400)
  assert.match(mistyped.answer['error'] ?? '', /spec\.to/)
  assert.equal(asked.length, 0)
  const { proxy: _proxy, ...own } = wanted
  assert.deepEqual(await post(own), { status: 202, answer: { name: 'switchover-1' } })
  assert.deepEqual(asked, [{ kind: 'Switchover', to: 'b:1', accept: [] }])
  assert.equal((await post(own)).status, 503)
  const found = await fetch(`${url}/v1/operations/switchover-1`)
  assert.equal(((await found.json()) as { phase: string }).phase, 'Running')
  assert.equal((await fetch(`${url}/v1/operations/other`)).status, 404)
})
