/** F: frames that are wrong, or right and strange. */
import {
  anyProtocolError,
  closed,
  open,
  ping,
  pong,
  protocolError,
  type Row,
  timer,
  waiting,
} from './row.ts'
import { command } from './wire.ts'

const badMultibulk = protocolError('invalid multibulk length')
const badBulk = protocolError('invalid bulk length')
const badTerminator = protocolError('a bulk is not followed by CRLF')
const expectedDollar = (got: string) => protocolError(`expected '$', got '${got}'`)
const smuggled = command('SET', 'pwned', '1').toString('latin1')
const allBytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
const mebibyte = 1 << 20

export const framingRows: readonly Row[] = [
  open('F01', 'an empty line, then PING', `\r\n${ping}`, pong),
  open('F02', 'a bare LF, then PING', `\n${ping}`, pong),
  open('F03', '*-10, then PING', `*-10\r\n${ping}`, pong),
  open('F04', '*0, then PING', `*0\r\n${ping}`, pong),
  closed('F05', '*3000000000', '*3000000000\r\n', badMultibulk),
  timer('F06', 'a header of 2147483647 alone', '*2147483647\r\n', ''),
  timer('F07', 'a header of 1048577 alone', '*1048577\r\n', ''),
  open(
    'F08',
    'a million arguments of one byte',
    `*1000000\r\n${'$1\r\na\r\n'.repeat(1_000_000)}`,
    /^-ERR unknown command 'a', with args beginning with: [^\r\n]{1,300}\r\n$/,
    { growthBytesMax: 28 * mebibyte, deadlineMs: 10_000 },
  ),
  closed('F09', 'a bulk of 512 MiB + 1', '*1\r\n$536870913\r\n', badBulk),
  timer('F10', 'a bulk of 512 MiB without a body', '*1\r\n$536870912\r\n', ''),
  closed('F11', '$-1 in a request', `*1\r\n$-1\r\n${ping}`, badBulk),
  closed('F12', 'a length beyond all integers', '*1\r\n$99999999999999999999\r\n', badBulk),
  closed('F13', '$5 hello on top', '$5\r\nhello\r\n', anyProtocolError),
  closed('F14', '+OK on top', '+OK\r\n', anyProtocolError),
  closed('F15', 'an integer as argument', '*1\r\n:1\r\n', expectedDollar(':')),
  closed('F16', 'an array as argument', '*1\r\n*1\r\n', expectedDollar('*')),
  closed('F17', 'nesting 100,000 deep', '*1\r\n'.repeat(100_000), expectedDollar('*')),
  closed('F18', '*a', '*a\r\n', badMultibulk),
  closed('F19', '*+1', '*+1\r\n$4\r\nPING\r\n', badMultibulk),
  closed('F20', '*01', '*01\r\n$4\r\nPING\r\n', badMultibulk),
  closed('F21', '* 1', '* 1\r\n$4\r\nPING\r\n', badMultibulk),
  closed('F22', '*1.0', '*1.0\r\n$4\r\nPING\r\n', badMultibulk),
  closed('F23', '$0x4', '*1\r\n$0x4\r\nPING\r\n', badBulk),
  closed('F24', '$4 and a space', '*1\r\n$4 \r\nPING\r\n', badBulk),
  closed('F25', 'LF in place of CRLF', '*1\n$4\nPING\n', badMultibulk),
  closed('F26', 'a wrong bulk terminator', `*1\r\n$4\r\nPINGXX${smuggled}`, badTerminator),
  closed('F27', 'CR and a wrong byte', '*1\rX$4\r\nPING\r\n', badMultibulk),
  closed(
    'F28',
    'a bulk longer than declared',
    `*2\r\n$4\r\nECHO\r\n$3\r\nabcdef\r\n${smuggled}`,
    badTerminator,
  ),
  open(
    'F29',
    'commands inside a value',
    command('ECHO', `x\r\n${smuggled}`),
    `$${3 + smuggled.length}\r\nx\r\n${smuggled}\r\n`,
  ),
  open('F30', 'one byte at a time', ping.split(''), pong),
  closed('F31', '1,000 PING, then FIN at once', ping.repeat(1000), pong.repeat(1000), {
    afterwards: 'end',
  }),
  closed('F32', 'QUIT and then SET', `QUIT\r\nSET after quit\r\n`, '+OK\r\n'),
  closed(
    'F32b',
    'QUIT and then SET as arrays',
    Buffer.concat([command('QUIT'), command('SET', 'after', 'quit')]),
    '+OK\r\n',
  ),
  open('F33', 'an empty command name', '*1\r\n$0\r\n\r\n', /^-ERR unknown command ''/),
  open(
    'F34',
    'a command name of 1 MB',
    command('A'.repeat(mebibyte)),
    /^-ERR unknown command[^\r\n]{0,256}\r\n$/,
    { growthBytesMax: 16 * mebibyte },
  ),
  open(
    'F35',
    'CRLF +OK in a command name',
    command('AB\r\n+OK\r\n'),
    /^-ERR unknown command 'AB {2}\+OK {2}'[^\r\n]*\r\n$/,
  ),
  open(
    'F36',
    'a name that is no UTF-8',
    command('\xff\xfe\x80'),
    /^-ERR unknown command '\xff\xfe\x80/,
  ),
  open(
    'F37',
    'a binary key and value',
    Buffer.concat([command('SET', allBytes, allBytes), command('GET', allBytes)]),
    `+OK\r\n$256\r\n${allBytes.toString('latin1')}\r\n`,
  ),
  open('F38', '200,000 PING at once', ping.repeat(200_000), pong.repeat(200_000), {
    growthBytesMax: 16 * mebibyte,
    deadlineMs: 20_000,
  }),
  open('F39', '*-1, then PING', `*-1\r\n${ping}`, pong),
  open('F40', '*-2147483648, then PING', `*-2147483648\r\n${ping}`, pong),
  closed('F41', '*-0', `*-0\r\n${ping}`, badMultibulk),
  closed('F42', '*00', `*00\r\n${ping}`, badMultibulk),
  closed('F43', '* alone on a line', `*\r\n${ping}`, badMultibulk),
  closed('F44', '*- alone on a line', `*-\r\n${ping}`, badMultibulk),
  closed('F45', '*2147483648', '*2147483648\r\n', badMultibulk),
  closed('F46', '$-2 in a request', `*1\r\n$-2\r\n${ping}`, badBulk),
  closed('F47', '$ alone on a line', `*1\r\n$\r\n${ping}`, badBulk),
  closed('F48', '$04', `*1\r\n$04\r\nPING\r\n`, badBulk),
  closed('F49', '$-0', `*1\r\n$-0\r\n\r\n${ping}`, badBulk),
  closed('F50', '$+4', `*1\r\n$+4\r\nPING\r\n`, badBulk),
  closed('F51', '$4 and LF alone', `*1\r\n$4\nPING\r\n`, badBulk),
  closed('F52', '$4, CR and a wrong byte', `*1\r\n$4\rXPING\r\n`, badBulk),
  closed('F53', '$4 and two CR', `*1\r\n$4\r\r\nPING\r\n`, badBulk),
  closed('F54', '*1 and two CR', `*1\r\r\n$4\r\nPING\r\n`, badMultibulk),
  closed('F55', '$1e1', `*1\r\n$1e1\r\nPINGPINGPI\r\n`, badBulk),
  closed('F56', 'a NUL in a length', `*1\r\n$4\0\r\nPING\r\n`, badBulk),
  closed('F57', 'a NUL in a count', `*1\0\r\n$4\r\nPING\r\n`, badMultibulk),
  closed('F58', '64 KiB of digits as a count', `*${'1'.repeat(65_536)}`, badMultibulk),
  closed('F59', '64 KiB of digits as a length', `*1\r\n$${'1'.repeat(65_536)}`, badBulk),
  closed('F60', 'a bulk that ends in LF CR', `*1\r\n$4\r\nPING\n\r${smuggled}`, badTerminator),
  closed('F61', 'a bulk without a terminator', `*1\r\n$4\r\nPING${smuggled}`, badTerminator),
  closed(
    'F62',
    'a bulk that ends in CR and a byte',
    `*1\r\n$4\r\nPING\rX${smuggled}`,
    badTerminator,
  ),
  closed(
    'F63',
    'a bulk one byte shorter than declared',
    `*2\r\n$4\r\nECHO\r\n$4\r\nabc\r\n${smuggled}`,
    badTerminator,
  ),
  waiting(
    'F64',
    'a bulk that swallows what follows it',
    `*2\r\n$4\r\nECHO\r\n$1000\r\nabc\r\n${smuggled}`,
    '',
  ),
  waiting('F65', 'one argument too few', `*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n`, ''),
  closed(
    'F66',
    'one argument too many',
    `*3\r\n$3\r\nSET\r\n$4\r\nfine\r\n$1\r\n1\r\n$1\r\nx\r\n`,
    /^\+OK\r\n-ERR Protocol error/,
  ),
  closed(
    'F67',
    'a frame, then garbage',
    `${ping}\xff\xff\xff\r\n`,
    /^\+PONG\r\n-ERR Protocol error/,
  ),
  closed('F68', 'a null as argument', `*1\r\n_\r\n`, expectedDollar('_')),
  closed('F69', 'a verbatim string as argument', `*1\r\n=8\r\ntxt:PING\r\n`, expectedDollar('=')),
  closed('F70', 'a map on top', `%1\r\n$4\r\nPING\r\n$1\r\nx\r\n`, anyProtocolError),
  closed('F71', 'a push on top', `>1\r\n$4\r\nPING\r\n`, anyProtocolError),
  closed('F72', 'a streamed string', `*1\r\n$?\r\n;4\r\nPING\r\n;0\r\n`, badBulk),
  closed('F73', 'a streamed array', `*?\r\n$4\r\nPING\r\n.\r\n`, badMultibulk),
  waiting('F74', 'half of a header', `*1\r\n$4\r`, ''),
  waiting('F75', 'half of a terminator', `*1\r\n$4\r\nPING\r`, ''),
  waiting('F76', 'an asterisk', '*', ''),
  closed('F77', 'half of a frame, then FIN', `*2\r\n$4\r\nECHO\r\n$100\r\nabc`, '', {
    afterwards: 'end',
  }),
  closed('F78', 'PING and half of a frame, then FIN', `${ping}*2\r\n$4\r\nEC`, pong, {
    afterwards: 'end',
  }),
  open('F79', '100,000 empty arrays, then PING', `${'*0\r\n'.repeat(100_000)}${ping}`, pong),
  open('F80', '100,000 empty lines, then PING', `${'\r\n'.repeat(100_000)}${ping}`, pong),
  open(
    'F81',
    'every split of two frames',
    splits(Buffer.concat([command('ECHO', 'a\r\nb'), command('ECHO', '')])),
    '$4\r\na\r\nb\r\n$0\r\n\r\n'.repeat(40),
  ),
  open(
    'F82',
    'a command of 300 KB in packets of 1 KB',
    pieces(command('STRLEN', 'x'.repeat(300_000)), 1024),
    ':0\r\n',
  ),
  closed(
    'F83',
    'a command of 300 KB whose last bulk is not ended',
    `*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$300000\r\n${'x'.repeat(300_000)}XX${smuggled}`,
    badTerminator,
  ),
  closed(
    'F84',
    'a command of 300 KB with a wrong header at its end',
    `*4\r\n$3\r\nSET\r\n$5\r\npwned\r\n$300000\r\n${'x'.repeat(300_000)}\r\n:1\r\n${smuggled}`,
    /^-ERR Protocol error/,
  ),
  closed(
    'F85',
    'a command of 300 KB, FIN before its end',
    `*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$400000\r\n${'x'.repeat(300_000)}`,
    '',
    { afterwards: 'end' },
  ),
  open(
    'F86',
    '100,000 arguments and no value among them',
    command('EXISTS', ...Array.from({ length: 99_999 }, () => '')),
    ':0\r\n',
  ),
]

/** Both frames, cut in two at each offset, enough times for forty answers. */
function splits(bytes: Buffer): Buffer[] {
  return Array.from({ length: 40 }, (_, index) => {
    const at = 1 + (index % (bytes.length - 1))
    return [bytes.subarray(0, at), bytes.subarray(at)]
  }).flat()
}

function pieces(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size)
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}
