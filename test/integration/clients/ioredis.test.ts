/** ioredis through a sidecar process, as an application uses it, in RESP2 and RESP3. */
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { tourIoredis } from './ioredis-tour.ts'
import { login, startDirect, startProxied } from './support.ts'

for (const protocol of [2, 3] as const) {
  for (const way of ['through a sidecar', 'with a login', 'without a sidecar'] as const) {
    const hasLogin = way === 'with a login'
    test(`ioredis works in RESP${protocol} ${way}`, async (t) => {
      const isDirect = way === 'without a sidecar'
      const proxied = await (isDirect ? startDirect(t) : startProxied(t, { hasLogin }))
      const open = (): Redis => {
        const redis = new Redis({
          port: proxied.port,
          host: '127.0.0.1',
          protocol,
          connectionName: 'app',
          retryStrategy: () => 20,
          ...(hasLogin && login),
        })
        redis.on('error', () => {})
        t.after(() => redis.disconnect())
        return redis
      }
      await tourIoredis(t, { proxied, open })
    })
  }
}
