/** Free loopback ports. Another program may take one between the look and its use; then its user says so. */
import { type AddressInfo, createServer } from 'node:net'
import { localPortTriesMax } from '../../common/limits.ts'

/** The wanted port if it is free and not among `taken`, else the next free one. */
export async function freePort(wanted: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = wanted; port < wanted + localPortTriesMax; port += 1) {
    if (!taken.has(port) && (await isFree(port))) return port
  }
  return takeAny()
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () =>
      server.close(() => resolve(true)),
    )
  })
}

async function takeAny(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
