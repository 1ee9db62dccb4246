/** What a hostile or broken server may answer. */
import type { Socket } from 'node:net'
import { bulk, type Script } from './scripted-server.ts'

const send = (bytes: string) => (socket: Socket) => {
  socket.write(bytes, 'latin1')
  return false
}
const sendAndEnd = (bytes: string) => (socket: Socket) => {
  socket.end(bytes, 'latin1')
  return true
}
const sendAndReset = (bytes: string) => (socket: Socket) => {
  socket.write(bytes, 'latin1', () => socket.resetAndDestroy())
  return true
}

/** Writes again and again until the connection ends or `bytesMax` were taken. */
function flood(piece: string, bytesMax: number): (socket: Socket) => boolean {
  return (socket) => {
    const bytes = Buffer.from(piece, 'latin1')
    let sent = 0
    const go = () => {
      while (!socket.destroyed && sent < bytesMax) {
        sent += bytes.length
        if (socket.write(bytes)) continue
        socket.once('drain', go)
        return
      }
    }
    go()
    return true
  }
}

/** One byte at a time. */
function drip(text: string, everyMs: number): (socket: Socket) => boolean {
  return (socket) => {
    let at = 0
    const timer = setInterval(() => {
      if (socket.destroyed || at >= text.length) return clearInterval(timer)
      socket.write(text[at] as string, 'latin1')
      at += 1
    }, everyMs)
    return false
  }
}

const cut = (id: string, name: string, act: Script['act']): Script => ({
  id,
  name,
  act,
  expected: 'cut',
})
const passed = (id: string, name: string, bytes: string, reply?: RegExp): Script => ({
  id,
  name,
  act: send(bytes),
  expected: 'passed',
  ...(reply && { reply }),
})

export const foreignText = 'of another client'
const foreign = bulk(foreignText)
const mebibyte = 1 << 20

/** `trapPort`: where a redirection points that must not be followed. */
export function scripts(trapPort: number): readonly Script[] {
  return [
    cut('U01', 'an array header of 2^31 and the end', sendAndEnd('*2147483647\r\n')),
    cut('U02', 'a bulk header of 512 MB and the end', sendAndEnd('$536870912\r\nabc')),
    cut('U03', 'a length of 13 digits', send('$9999999999999\r\n')),
    cut('U04', 'a map header of 10^12 and the end', sendAndEnd('%999999999999\r\n')),
    cut('U05', 'headers that multiply beyond counting', send('*999999999999\r\n'.repeat(2000))),
    passed(
      'U06',
      'nesting 1,000,000 deep',
      `${'*1\r\n'.repeat(1_000_000)}:1\r\n`,
      /^(\*1\r\n)+:1\r\n$/,
    ),
    cut('U07', 'nesting 1,000,000 deep, never ended', sendAndEnd('*1\r\n'.repeat(1_000_000))),
    cut('U08', 'a type byte that there is none of', send('@1\r\n')),
    cut('U09', 'zero bytes', send('\0'.repeat(100))),
    cut('U10', 'HTTP', send('HTTP/1.1 400 Bad Request\r\n\r\n')),
    cut('U11', 'TLS', send('\x15\x03\x01\x00\x02\x02\x16')),
    cut('U12', 'the end in place of a reply', sendAndEnd('')),
    cut('U13', 'a reset in place of a reply', sendAndReset('')),
    cut('U14', 'half of a reply, then the end', sendAndEnd('$10\r\nabc')),
    cut('U15', 'half of a reply, then a reset', sendAndReset('$10\r\nabc')),
    cut('U16', 'half of an array, then the end', sendAndEnd('*3\r\n:1\r\n:2\r\n')),
    cut('U17', 'half of a type line, then the end', sendAndEnd('+O')),
    { id: 'U18', name: 'one reply too many', act: send(`+OK\r\n${foreign}`), expected: 'any' },
    {
      id: 'U19',
      name: 'a thousand replies too many',
      act: send(`+OK\r\n${foreign.repeat(1000)}`),
      expected: 'any',
    },
    { id: 'U20', name: 'a reply too many, later', act: later(foreign), expected: 'any' },
    cut('U21', 'a push in RESP2', send(`>2\r\n${bulk('invalidate')}*1\r\n${bulk('k')}+OK\r\n`)),
    cut('U22', 'a push within a reply', send(`*2\r\n:1\r\n>1\r\n${foreign}:2\r\n`)),
    passed('U23', 'MOVED to a metadata service', '-MOVED 1 169.254.169.254:80\r\n', /^-/),
    passed('U24', 'ASK to a metadata service', '-ASK 1 169.254.169.254:80\r\n', /^-/),
    passed('U25', 'MOVED to a listener that waits', `-MOVED 1 127.0.0.1:${trapPort}\r\n`, /^-/),
    passed('U26', 'ASK to a listener that waits', `-ASK 1 127.0.0.1:${trapPort}\r\n`, /^-/),
    {
      id: 'U27',
      name: 'READONLY',
      act: send("-READONLY You can't write against a read only replica.\r\n"),
      expected: 'any',
    },
    passed('U28', 'LOADING', '-LOADING Redis is loading the dataset in memory\r\n', /^-LOADING/),
    passed('U29', 'NOAUTH', '-NOAUTH Authentication required.\r\n', /^-NOAUTH/),
    passed('U30', 'an error with a NUL and 8-bit bytes', '-ERR \0\xff\xfe\r\n'),
    cut('U31', 'LF in a status', send('+a\nb\r\n')),
    cut('U32', 'CR in a status', send('+a\rb\r\n')),
    cut('U33', 'a line of 2 MB', flood('+'.padEnd(65_536, 'x'), 2 * mebibyte)),
    cut('U34', 'a line without end', flood('x'.repeat(65_536).replace('x', '+'), 64 * mebibyte)),
    cut('U35', 'a bulk that ends in other bytes', send('$3\r\nabcXX')),
    cut('U36', 'a negative length of two', send('$-2\r\n')),
    cut('U37', 'a length with a plus', send('$+3\r\nabc\r\n')),
    cut('U38', 'a length that is none', send('$abc\r\n')),
    cut('U39', 'an empty length', send('$\r\n')),
    passed('U40', 'a reply in bytes', '', undefined),
    passed('U41', 'RESP3 types in RESP2', `%1\r\n${bulk('a')}#t\r\n`),
    passed(
      'U42',
      'an attribute before the reply',
      `|1\r\n${bulk('a')}:1\r\n${bulk('reply')}`,
      /reply/,
    ),
    cut('U43', 'an attribute and no reply', sendAndEnd(`|1\r\n${bulk('a')}:1\r\n`)),
    passed('U44', 'an empty array', '*0\r\n'),
    passed('U45', 'a null', '$-1\r\n'),
    passed('U46', 'a big number of 100 KB', `(${'9'.repeat(100_000)}\r\n`),
    passed('U47', 'an array of 200,000', `*200000\r\n${':1\r\n'.repeat(200_000)}`),
    passed('U48', 'a reply of 16 MB', bulk('x'.repeat(16 * mebibyte))),
    cut('U49', 'bytes without end that are no reply', flood('\xff'.repeat(65_536), 64 * mebibyte)),
    {
      id: 'U50',
      name: 'replies without end',
      act: flood(foreign.repeat(1000), 64 * mebibyte),
      expected: 'any',
    },
  ].map((script) =>
    script.id === 'U40' ? { ...script, act: drip(bulk('drip'), 5), reply: /drip\r\n$/ } : script,
  ) as Script[]
}

function later(bytes: string): (socket: Socket) => boolean {
  return (socket) => {
    socket.write('+OK\r\n')
    setTimeout(() => {
      if (!socket.destroyed) socket.write(bytes, 'latin1')
    }, 20)
    return false
  }
}
