/**
 * A server that answers what a sidecar wants to know before it trusts it, and clients' ECHO, honestly, until a client
 * asks for `GET evil`: then it does on that connection what its script says.
 */
import { type Server, type Socket, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface Script {
  readonly id: string
  readonly name: string
  /**
   * Called with the connection on which `GET evil` came, in place of a reply. All later bytes on it are ignored if it
   * gives true; otherwise commands go on being answered.
   */
  readonly act: (socket: Socket) => boolean
  /**
   * `passed`: what the client gets is a reply, strange as it is. `cut`: the client is told that its connection to
   * the server was lost, or is cut itself.
   */
  readonly expected: 'cut' | 'passed' | 'any'
  /** What a client gets if it is passed. */
  readonly reply?: RegExp
  /** What the server does when it is connected, before any question, where that is the evil. */
  readonly greeting?: (socket: Socket) => void
}

const info = [
  '# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:',
  'a'.repeat(40),
  '\r\ntcp_port:6379\r\nuptime_in_seconds:100\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n',
  `master_replid:${'b'.repeat(40)}\r\nmaster_repl_offset:100\r\n# Persistence\r\nloading:0\r\n`,
].join('')

export class ScriptedServer {
  script: Script | undefined
  readonly sockets = new Set<Socket>()
  connectionCount = 0
  private readonly server: Server

  private constructor() {
    this.server = createServer((socket) => this.serve(socket))
  }

  static async start(): Promise<ScriptedServer> {
    const one = new ScriptedServer()
    await new Promise<void>((resolve) => one.server.listen(0, '127.0.0.1', resolve))
    return one
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private serve(socket: Socket): void {
    this.connectionCount += 1
    this.sockets.add(socket)
    let text = ''
    let isEvil = false
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      if (isEvil) return
      text += chunk.toString('latin1')
      for (;;) {
        const taken = takeCommand(text)
        if (taken === undefined) return
        text = text.slice(taken.end)
        const [name = '', first = ''] = taken.words
        if (name.toUpperCase() === 'GET' && first === 'evil' && this.script !== undefined) {
          isEvil = this.script.act(socket)
          if (isEvil) return
        } else socket.write(answer(taken.words), 'latin1')
      }
    })
  }
}

interface Taken {
  readonly words: readonly string[]
  readonly end: number
}

function takeCommand(text: string): Taken | undefined {
  const header = /^\*(\d+)\r\n/.exec(text)
  if (header === null) return undefined
  const words: string[] = []
  let at = header[0].length
  for (let left = Number(header[1]); left > 0; left -= 1) {
    const bulk = /^\$(\d+)\r\n/.exec(text.slice(at, at + 16))
    if (bulk === null) return undefined
    const start = at + bulk[0].length
    const end = start + Number(bulk[1])
    if (end + 2 > text.length) return undefined
    words.push(text.slice(start, end))
    at = end + 2
  }
  return { words, end: at }
}

export const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

function answer(words: readonly string[]): string {
  const name = (words[0] ?? '').toUpperCase()
  if (name === 'PING') return '+PONG\r\n'
  if (name === 'ECHO') return bulk(words[1] ?? '')
  if (name === 'INFO') return bulk(info)
  if (name === 'ROLE') return '*3\r\n$6\r\nmaster\r\n:100\r\n*0\r\n'
  if (name === 'HELLO') return hello(words[1] ?? '2')
  if (name === 'BLPOP') return `*2\r\n${bulk('list')}${bulk(words[1] ?? '')}`
  if (name === 'GET') return bulk(`value of ${words[1] ?? ''}`)
  return '+OK\r\n'
}

function hello(protocol: string): string {
  const fields = [
    bulk('server') + bulk('redis'),
    bulk('version') + bulk('7.0.15'),
    `${bulk('proto')}:${protocol}\r\n`,
    `${bulk('id')}:1\r\n`,
    bulk('mode') + bulk('standalone'),
    bulk('role') + bulk('master'),
    `${bulk('modules')}*0\r\n`,
  ]
  return `${protocol === '3' ? `%${fields.length}` : `*${2 * fields.length}`}\r\n${fields.join('')}`
}
