/** Just enough of a Redis client to see that a target answers and what the server has counted. */
import { createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Endpoint } from './model.ts'

const answerTimeoutMs = 2000
const retryMs = 50

/** Sends one command without arguments that need quoting and gives the reply as it came. */
export async function ask(
  endpoint: Endpoint,
  words: readonly string[],
  isWhole: (text: string) => boolean,
) {
  const socket: Socket =
    endpoint.kind === 'unix'
      ? createConnection(endpoint.path)
      : createConnection(endpoint.port, '127.0.0.1')
  try {
    return await new Promise<string>((resolve, reject) => {
      let reply = ''
      const late = () => reject(new Error(`no answer to ${words.join(' ')} in time`))
      socket.setTimeout(answerTimeoutMs, late)
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('closed without an answer')))
      socket.setEncoding('utf8').on('data', (text: string) => {
        reply += text
        if (isWhole(reply)) resolve(reply)
      })
      const body = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')
      socket.write(`*${words.length}\r\n${body}`)
    })
  } finally {
    socket.destroy()
  }
}

/**
 * Waits until `endpoint` answers PING with PONG.
 * @throws Error after `patienceMs`, or as soon as `hasEnded`.
 */
export async function waitForPong(
  endpoint: Endpoint,
  options: { patienceMs: number; hasEnded: () => boolean; signal: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + options.patienceMs
  for (;;) {
    options.signal.throwIfAborted()
    const told = await ask(endpoint, ['PING'], (text) => text.endsWith('\r\n')).catch(
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    if (told === '+PONG\r\n') return
    if (options.hasEnded()) throw new Error('ended by itself')
    if (performance.now() > deadline) {
      throw new Error(`PING had no PONG in ${options.patienceMs} ms: ${told.trim()}`)
    }
    await delay(retryMs)
  }
}

export interface ServerCounts {
  readonly commands: number
  readonly misses: number
}

/** What the server itself has counted since it started. */
export async function serverCounts(endpoint: Endpoint): Promise<ServerCounts> {
  const info = await ask(endpoint, ['INFO', 'stats'], (text) => {
    const header = /^\$(\d+)\r\n/.exec(text)
    return header !== null && text.length >= header[0].length + Number(header[1]) + 2
  })
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
  return { commands: field('total_commands_processed'), misses: field('keyspace_misses') }
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}
