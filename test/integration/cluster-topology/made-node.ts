/** A server that answers what a test wants it to, and a door that leads to one server or another. */
import {
  type AddressInfo,
  type Server,
  type Socket,
  createConnection,
  createServer,
} from 'node:net'
import type { TestContext } from 'node:test'
import type { Place } from './rig.ts'

export interface MadeNode extends Place {
  /** Commands that it was sent, in capitals. */
  readonly asked: readonly string[]
}

/** `answer` gets the words of a command, the first two in capitals, and gives the bytes of the reply; undefined: none. */
export async function startMadeNode(
  t: TestContext,
  answer: (words: readonly string[], socket: Socket) => string | undefined,
): Promise<MadeNode> {
  const asked: string[] = []
  const place = await listen(t, (socket) => {
    let received = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk
      for (let words = next(); words !== undefined; words = next()) {
        asked.push(words.slice(0, 2).join(' '))
        socket.write(answer(words, socket) ?? handshake(words), 'latin1')
      }
    })
    const next = (): string[] | undefined => {
      const head = /^\*(\d+)\r\n/.exec(received)
      const parts = received.split('\r\n')
      const count = Number(head?.[1])
      if (head === null || parts.length <= 2 * count + 1) return undefined
      received = parts.slice(2 * count + 1).join('\r\n')
      const words = Array.from({ length: count }, (_, at) => parts[2 * at + 2] ?? '')
      return words.map((word, at) => (at < 2 ? word.toUpperCase() : word))
    }
  })
  return { ...place, asked }
}

function handshake(words: readonly string[]): string {
  if (words[0] === 'PING') return '+PONG\r\n'
  if (words[0] === 'INFO') return bulk(`run_id:${'a'.repeat(40)}\r\nrole:master\r\n`)
  return '-ERR unknown command\r\n'
}

export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`
}

/** A port that stays while what is behind it changes. */
export async function startDoor(
  t: TestContext,
  target: () => Place,
): Promise<Place & { hangUp(): void }> {
  const sockets = new Set<Socket>()
  const place = await listen(t, (socket) => {
    const inner = createConnection({ host: target().host, port: target().port })
    for (const [from, to] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  return {
    ...place,
    hangUp: () => {
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    },
  }
}

async function listen(t: TestContext, serve: (socket: Socket) => void): Promise<Place> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    serve(socket)
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}
