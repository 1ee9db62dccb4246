/** S8: commands that harm the server or the fleet: refused unless a configuration allows them, however they come. */
import { open, pong, type Row } from './row.ts'
import { command, toBuffer } from './wire.ts'

const refusal = /^-NOPERM [^\r\n]*not allowed[^\r\n]*\r\n$/
const refusalInTransaction = /^\+OK\r\n-NOPERM [^\r]*\r\n-EXECABORT [^\r]*\r\n$/
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

/** Fewer ways of these are tried. */
const more = [
  'CONFIG SET maxmemory 1',
  'CONFIG REWRITE',
  'CONFIG RESETSTAT',
  'ACL SETUSER pwned on nopass +@all',
  'ACL LIST',
  'ACL LOG RESET',
  'CLIENT KILL TYPE normal',
  'CLIENT PAUSE 1000',
  'CLIENT UNPAUSE',
  'MONITOR',
  'RESTORE pwned 0 x',
  'RESTORE-ASKING pwned 0 x',
  'BGSAVE',
  'BGREWRITEAOF',
  'SAVE',
  'SLOWLOG RESET',
  'LATENCY RESET',
  'PFDEBUG ENCODING k',
  'PFSELFTEST',
  'SCRIPT DEBUG YES',
  'MODULE UNLOAD x',
  'MODULE LOADEX /x',
] as const

const words = (text: string) => text.split(' ')
const array = (text: string) => command(...words(text))

export const policyRows: readonly Row[] = [
  ...commands.map((text, index) => open(`S8${two(index + 1)}`, text, array(text), refusal)),
  ...commands.flatMap((text, index) => {
    const id = `S8${two(index + 1)}`
    const mixed = mixedCase(text)
    return [
      open(`${id}m`, `${mixed} in mixed case`, array(mixed), refusal),
      open(`${id}i`, `${text} inline`, `${text}\r\n`, refusal),
      open(
        `${id}p`,
        `${text} in a pipeline`,
        Buffer.concat([command('PING'), array(text), command('PING')]),
        new RegExp(`^\\${pong}-NOPERM [^\r\n]*\r\n\\${pong}$`),
      ),
      open(`${id}t`, `${text} in MULTI`, inTransaction(text), refusalInTransaction),
      open(`${id}b`, `${text} a byte at a time`, split(array(text)), refusal),
    ]
  }),
  ...more.flatMap((text, index) => {
    const id = `S8${two(commands.length + index + 1)}`
    return [
      open(id, text, array(text), refusal),
      open(
        `${id}m`,
        `${mixedCase(text)} in mixed case and inline`,
        `${mixedCase(text)}\r\n`,
        refusal,
      ),
      open(`${id}t`, `${text} in MULTI`, inTransaction(text), refusalInTransaction),
    ]
  }),
  open('S897', 'SHUTDOWN and a NUL', command('SHUTDOWN\0', 'NOSAVE'), /^-ERR unknown command/),
  open(
    'S898',
    'CONFIG SET and a NUL',
    command('CONFIG', 'SET\0', 'maxmemory', '1'),
    /^-(ERR|NOPERM) /,
  ),
  open('S899', 'DEBUG and a space', command('DEBUG ', 'SLEEP', '0'), /^-ERR unknown command/),
]

function inTransaction(text: string): Buffer {
  return Buffer.concat([command('MULTI'), array(text), command('EXEC')])
}

function mixedCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter, at: number) =>
    at % 2 === 0 ? letter.toLowerCase() : letter,
  )
}

function two(index: number): string {
  return String(index).padStart(2, '0')
}

function split(bytes: Buffer): string[] {
  return toBuffer(bytes).toString('latin1').split('')
}
