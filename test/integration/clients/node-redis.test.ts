/** node-redis through a sidecar process, as an application uses it, in RESP2 and RESP3. */
import { test } from 'node:test'
import { newClient, tourNodeRedis } from './node-redis-tour.ts'
import { startDirect, startProxied } from './support.ts'

for (const protocol of [2, 3] as const) {
  for (const way of ['through a sidecar', 'with a login', 'without a sidecar'] as const) {
    const hasLogin = way === 'with a login'
    test(`node-redis works in RESP${protocol} ${way}`, async (t) => {
      const isDirect = way === 'without a sidecar'
      const proxied = await (isDirect ? startDirect(t) : startProxied(t, { hasLogin }))
      const open = async () => {
        const client = newClient(proxied.port, protocol, hasLogin)
        client.on('error', () => {})
        t.after(() => client.destroy())
        await client.connect()
        return client
      }
      await tourNodeRedis(t, { proxied, open })
    })
  }
}
