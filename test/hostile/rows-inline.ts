/** I: inline commands. X: what clients of other protocols send, and what is made to look like them. */
import {
  anyProtocolError,
  closed,
  open,
  ping,
  pong,
  protocolError,
  type Row,
  waiting,
} from './row.ts'
import { command } from './wire.ts'

const unbalanced = protocolError('unbalanced quotes in request')
const post = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nSET pwned 1\r\n'

export const inlineRows: readonly Row[] = [
  open('I01', 'inline PING', 'PING\r\n', pong),
  closed('I02', 'a NUL inline', 'PI\0NG', protocolError('NUL in an inline request')),
  closed(
    'I03',
    '64 KiB + 1 without an end',
    'A'.repeat(65_537),
    protocolError('too big inline request'),
  ),
  closed('I04', 'unbalanced quotes', 'SET a "b\r\n', unbalanced),
  open('I05', 'escapes in quotes', 'ECHO "a\\r\\nb"\r\n', '$4\r\na\r\nb\r\n'),
  open('I06', '30,000 words', `EXISTS${' a'.repeat(30_000)}\r\n`, ':0\r\n'),
  closed('I07', 'a NUL and an end', 'PI\0NG\r\n', protocolError('NUL in an inline request')),
  open('I08', 'PING and LF alone', 'PING\n', pong),
  open('I09', 'words between many spaces', '   ECHO  \t x   \r\n', '$1\r\nx\r\n'),
  closed('I10', 'a byte after a closing quote', 'ECHO "a"b\r\n', unbalanced),
  closed('I11', 'unbalanced single quotes', "ECHO 'a\r\n", unbalanced),
  open('I12', 'an escaped single quote', "ECHO 'a\\'b'\r\n", "$3\r\na'b\r\n"),
  open('I13', 'hexadecimal escapes', 'ECHO "\\x00\\xff\\x0d\\x0a"\r\n', '$4\r\n\x00\xff\r\n\r\n'),
  open('I14', 'a broken hexadecimal escape', 'ECHO "\\xg1"\r\n', '$3\r\nxg1\r\n'),
  open('I15', 'an empty word', 'ECHO ""\r\n', '$0\r\n\r\n'),
  closed('I16', 'a quote of 255s', 'PING "ax\xff"z\r\n', unbalanced),
  open('I17', 'a quoted byte 255', 'PING "ax\xff"\r\n', '$3\r\nax\xff\r\n'),
  closed('I18', 'a line of control bytes', '\x01\x02\x03\r\n', anyProtocolError),
  closed('I19', 'a line of digits', '12345\r\n', anyProtocolError),
  open('I20', 'inline and arrays in turn', `PING\r\n${ping}PING\r\n${ping}`, pong.repeat(4)),
  open(
    'I21',
    'an inline command inside a value',
    command('ECHO', 'x\r\nSET pwned 1\r\n'),
    /^\$16\r\nx/,
  ),
  waiting('I22', 'half of a line', 'SET pwned 1', ''),
  closed('I23', 'half of a line, then FIN', 'SET pwned 1', '', { afterwards: 'end' }),
  open('I24', '200,000 inline PING at once', 'PING\r\n'.repeat(200_000), pong.repeat(200_000), {
    deadlineMs: 30_000,
  }),
  waiting('I25', '60 KB of a line, a byte at a time', 'A'.repeat(6000).split(''), ''),
  open('I26', 'a thousand arguments in quotes', `EXISTS${' "a\\x00b"'.repeat(5000)}\r\n`, ':0\r\n'),
  closed('I27', '64 KiB of spaces', ' '.repeat(65_537), protocolError('too big inline request')),
  open('I28', 'a line of spaces', `  \t \r\n${ping}`, pong),
  open(
    'I29',
    'CR in the middle of a line',
    'ECHO a\rb\r\n',
    /^-ERR wrong number of arguments for 'echo'/,
  ),
]

export const foreignRows: readonly Row[] = [
  closed('X01', 'HTTP GET', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', ''),
  closed('X02', 'HTTP POST with commands as its body', post, ''),
  closed('X03', 'Host: first', 'Host: x\r\nSET pwned 1\r\n', ''),
  closed('X04', 'host: in lower case', 'host: x\r\nSET pwned 1\r\n', ''),
  closed('X05', 'HTTP PUT and a smuggled command', 'PUT /a\r\nSET pwned2 1\r\n', ''),
  closed('X06', 'a TLS hello', Buffer.from('16030100c8010000c40303', 'hex'), ''),
  closed('X07', 'an SSH banner', 'SSH-2.0-OpenSSH_9.2\r\nSET pwned 1\r\n', ''),
  closed('X08', 'PROXY v1', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nSET pwned 1\r\n', ''),
  closed('X09', 'PROXY v2', Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), anyProtocolError),
  open('X10', 'memcached get', 'get foo\r\n', '$-1\r\n'),
  closed('X11', 'a RESP3 attribute', `|1\r\n+a\r\n+b\r\n${ping}`, anyProtocolError),
  closed(
    'X12',
    'POST as an array',
    Buffer.concat([command('POST', '/'), command('SET', 'pwned', '1')]),
    '',
  ),
  closed(
    'X13',
    'Host: as an array',
    Buffer.concat([command('Host:', 'x'), command('SET', 'pwned', '1')]),
    '',
  ),
  ...['HEAD', 'DELETE', 'OPTIONS', 'CONNECT', 'PATCH', 'TRACE'].map((method, index) =>
    closed(`X${14 + index}`, `HTTP ${method}`, `${method} /x HTTP/1.1\r\nSET pwned 1\r\n`, ''),
  ),
  closed('X20', 'an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', ''),
  closed('X21', 'HTTP GET in lower case', 'get / http/1.0\r\nSET pwned 1\r\n', ''),
  closed('X22', 'an HTTP answer', 'HTTP/1.1 200 OK\r\nSET pwned 1\r\n', ''),
  closed(
    'X23',
    'an SMTP greeting',
    'EHLO x\r\nMAIL FROM:<a>\r\nQUIT\r\n',
    /^(-ERR unknown command[^\r]*\r\n){2}\+OK\r\n$/,
  ),
  closed('X24', 'JSON', '{"jsonrpc":"2.0","method":"SET pwned 1"}\r\n', anyProtocolError),
  closed('X25', 'XML', '<?xml version="1.0"?>\r\nSET pwned 1\r\n', anyProtocolError),
  closed(
    'X26',
    'a MySQL handshake',
    Buffer.from('200000018da20b00000000c0', 'hex'),
    /^-ERR Protocol error/,
  ),
  closed('X27', 'a PostgreSQL startup', Buffer.from('0000000804d2162f', 'hex'), anyProtocolError),
  closed(
    'X28',
    'a MongoDB query',
    Buffer.from('3a0000000100000000000000d4070000', 'hex'),
    anyProtocolError,
  ),
  closed('X29', 'a TLS hello in one-byte packets', ['\x16', '\x03', '\x01'], ''),
  closed(
    'X30',
    'a TLS hello after PING',
    Buffer.concat([Buffer.from(ping), Buffer.from('160301', 'hex')]),
    /^(\+PONG\r\n)?$/,
  ),
]
