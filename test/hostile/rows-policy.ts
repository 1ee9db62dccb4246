/** S8: commands that harm the server or the fleet: refused unless a configuration allows them, however they come. */
import { open, pong, type Row } from './row.ts'
import { command, toBuffer } from './wire.ts'

const refusal = /^-NOPERM [^\r\n]*not allowed[^\r\n]*\r\n$/
const commands = [
  'SHUTDOWN NOSAVE',
  'DEBUG SLEEP 0',
  'REPLICAOF NO ONE',
  'SLAVEOF NO ONE',
  'SYNC',
  'PSYNC ? -1',
  'REPLCONF listening-port 1',
  'FAILOVER ABORT',
  'MIGRATE 127.0.0.1 1 k 0 1',
  'MODULE LOAD /x',
  'CLUSTER RESET',
] as const

const words = (text: string) => text.split(' ')
const array = (text: string) => command(...words(text))

export const policyRows: readonly Row[] = [
  ...commands.map((text, index) => open(`S8${two(index + 1)}`, text, array(text), refusal)),
  ...commands.flatMap((text, index) => {
    const id = `S8${two(index + 1)}`
    const mixed = text.replaceAll(/[A-Z]/g, (letter, at: number) =>
      at % 2 === 0 ? letter.toLowerCase() : letter,
    )
    return [
      open(`${id}m`, `${mixed} in mixed case`, array(mixed), refusal),
      open(`${id}i`, `${text} inline`, `${text}\r\n`, refusal),
      open(
        `${id}p`,
        `${text} in a pipeline`,
        Buffer.concat([command('PING'), array(text), command('PING')]),
        new RegExp(`^\\${pong}-NOPERM [^\r\n]*\r\n\\${pong}$`),
      ),
      open(
        `${id}t`,
        `${text} in MULTI`,
        Buffer.concat([command('MULTI'), array(text), command('EXEC')]),
        /^\+OK\r\n-NOPERM [^\r]*\r\n-EXECABORT [^\r]*\r\n$/,
      ),
      open(`${id}b`, `${text} a byte at a time`, split(array(text)), refusal),
    ]
  }),
]

function two(index: number): string {
  return String(index).padStart(2, '0')
}

function split(bytes: Buffer): string[] {
  return toBuffer(bytes).toString('latin1').split('')
}
