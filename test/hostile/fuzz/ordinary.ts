/** Pipelines of a client that does nothing wrong: values from small to a few packets, written and read. */
import { within } from '../run-row.ts'
import { command, open } from '../wire.ts'
import type { Random } from './random.ts'

const sizes = [20, 100, 1000, 8000, 30_000] as const
const pairs = 24
const password = 'secret'

export async function ordinaryWork(options: {
  readonly port: number
  readonly random: Random
  readonly isOver: () => boolean
  readonly isLogin: boolean
}): Promise<void> {
  const { port, random, isOver, isLogin } = options
  while (!isOver()) {
    const wire = await open(port)
    const login = isLogin ? command('AUTH', password) : Buffer.alloc(0)
    let expected = isLogin ? ok : 0
    const parts = [login]
    for (let left = pairs; left > 0; left -= 1) {
      const value = 'v'.repeat(random.pick(sizes))
      parts.push(command('SET', 'warm', value), command('GET', 'warmth'))
      expected += ok + none
    }
    wire.send(Buffer.concat(parts))
    await within(5000, () => wire.byteCount >= expected || wire.isClosed)
    wire.socket.destroy()
  }
}

const ok = '+OK\r\n'.length
const none = '$-1\r\n'.length
