/** Replies of servers, damaged. */
import type { Random } from '../fuzz/random.ts'
import { bulk } from './scripted-server.ts'

const replies: readonly ((random: Random) => string)[] = [
  () => '+OK\r\n',
  () => '-ERR something\r\n',
  (random) => `:${random.int(1e9)}\r\n`,
  (random) => bulk('x'.repeat(random.int(200))),
  () => '$-1\r\n',
  () => '*-1\r\n',
  () => `*3\r\n:1\r\n${bulk('a')}*2\r\n+x\r\n$-1\r\n`,
  (random) => `*${random.int(2000)}\r\n${':1\r\n'.repeat(random.int(2000))}`,
  () => `%1\r\n${bulk('a')}#t\r\n`,
  () => `>2\r\n${bulk('invalidate')}*1\r\n${bulk('k')}`,
  () => `|1\r\n+a\r\n:1\r\n+OK\r\n`,
  () => '~2\r\n_\r\n,1.5\r\n',
  () => '=7\r\ntxt:abc\r\n',
  () => '!3\r\nERR\r\n',
  () => '(123456789012345678901234567890\r\n',
]
const fragments = [
  '\r\n',
  '\r',
  '\n',
  '\0',
  '*1\r\n',
  '$5\r\n',
  '-1',
  '99999999999999',
  '>1\r\n',
  '+',
  '%',
  '|1\r\n',
  '_\r\n',
  '',
] as const

export function damagedReply(random: Random): string {
  let text = random.pick(replies)(random)
  const count = 1 + random.int(3)
  for (let index = 0; index < count; index += 1) {
    const at = random.int(text.length + 1)
    const to = Math.min(text.length, at + random.int(6))
    const kind = random.int(5)
    if (kind === 0) text = text.slice(0, at)
    else if (kind === 1) text = text.slice(0, at) + text.slice(to)
    else if (kind === 2) text = text.slice(0, to) + text.slice(at, to) + text.slice(to)
    else if (kind === 3) text = text.slice(0, at) + random.pick(fragments) + text.slice(at)
    else text = text.slice(0, at) + String.fromCharCode(random.int(256)) + text.slice(at + 1)
  }
  return text
}
