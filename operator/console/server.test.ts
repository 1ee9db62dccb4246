import assert from 'node:assert/strict'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { type ConsoleSource, type ConsoleState, startConsole } from './index.ts'

const state: ConsoleState = {
  name: 'shop/<cache>',
  ready: { status: 'True', reason: 'Ready', message: 'fine' },
  phase: 'Steady',
  epoch: 2,
  primary: 'a:1',
  members: [],
  sidecars: [],
  events: [],
  canAct: true,
}

async function start(context: TestContext) {
  const killed: string[] = []
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
  }
  const console = await startConsole(0, source)
  context.after(() => console.stop())
  const page = await fetch(console.url)
  const html = await page.text()
  const token = /data-token="([^"]+)"/.exec(html)?.[1] ?? ''
  return { url: console.url, page, html, token, killed, change: () => changed() }
}

test('the page brings its own policy and no data', async (context) => {
  const { page, html } = await start(context)
  const policy = page.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/)
  assert.doesNotMatch(policy, /unsafe/)
  assert.doesNotMatch(html, /<cache>/)
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
