/** Bytes that no client library sends: what each gets, and that nobody else notices. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Rig, encodeCommand, startRig, until } from './harness.ts'

const ping = '*1\r\n$4\r\nPING\r\n'
const protocolError = (text: string) => `-ERR Protocol error: ${text}\r\n`

interface Row {
  readonly name: string
  readonly input: string | Buffer
  /** All that comes back; a regular expression where the server’s own text is passed on. */
  readonly reply: string | RegExp
  readonly isClosed: boolean
}

const open = (name: string, input: string | Buffer, reply: string | RegExp): Row => ({
  name,
  input,
  reply,
  isClosed: false,
})
const closed = (name: string, input: string | Buffer, reply: string | RegExp): Row => ({
  name,
  input,
  reply,
  isClosed: true,
})

const rows: readonly Row[] = [
  open('an empty line', `\r\n${ping}`, '+PONG\r\n'),
  open('a bare LF', `\n${ping}`, '+PONG\r\n'),
  open('*-10', `*-10\r\n${ping}`, '+PONG\r\n'),
  open('*-1', `*-1\r\n${ping}`, '+PONG\r\n'),
  open('*0', `*0\r\n${ping}`, '+PONG\r\n'),
  closed('*3000000000', '*3000000000\r\n', protocolError('invalid multibulk length')),
  open('a header of 2147483647 alone', '*2147483647\r\n', ''),
  open('a header of 1048577 alone', '*1048577\r\n', ''),
  closed('a bulk of 512 MiB + 1', '*1\r\n$536870913\r\n', protocolError('invalid bulk length')),
  open('a bulk of 512 MiB without a body', '*1\r\n$536870912\r\n', ''),
  closed('$-1 in a request', `*1\r\n$-1\r\n${ping}`, protocolError('invalid bulk length')),
  closed(
    'a length beyond all integers',
    '*1\r\n$99999999999999999999\r\n',
    protocolError('invalid bulk length'),
  ),
  closed('$5 on top', '$5\r\nhello\r\n', /^-ERR Protocol error: [^\r]*\r\n$/),
  closed('+OK on top', '+OK\r\n', /^-ERR Protocol error: [^\r]*\r\n$/),
  closed('an integer as argument', '*1\r\n:1\r\n', protocolError("expected '$', got ':'")),
  closed('an array as argument', '*1\r\n*1\r\n', protocolError("expected '$', got '*'")),
  closed('deep nesting', '*1\r\n'.repeat(100_000), protocolError("expected '$', got '*'")),
  closed('*a', '*a\r\n', protocolError('invalid multibulk length')),
  closed('*+1', `*+1\r\n$4\r\nPING\r\n`, protocolError('invalid multibulk length')),
  closed('*01', `*01\r\n$4\r\nPING\r\n`, protocolError('invalid multibulk length')),
  closed('* 1', `* 1\r\n$4\r\nPING\r\n`, protocolError('invalid multibulk length')),
  closed('*1.0', `*1.0\r\n$4\r\nPING\r\n`, protocolError('invalid multibulk length')),
  closed('$0x4', '*1\r\n$0x4\r\nPING\r\n', protocolError('invalid bulk length')),
  closed('$4 and a space', '*1\r\n$4 \r\nPING\r\n', protocolError('invalid bulk length')),
  closed('LF alone', '*1\n$4\nPING\n', protocolError('invalid multibulk length')),
  closed(
    'a wrong bulk terminator',
    `*1\r\n$4\r\nPINGXX${ping}`,
    protocolError('a bulk is not followed by CRLF'),
  ),
  closed('CR and a wrong byte', '*1\rX$4\r\nPING\r\n', protocolError('invalid multibulk length')),
  closed(
    'a bulk longer than declared',
    `*2\r\n$4\r\nECHO\r\n$3\r\nabcdef\r\n${ping}`,
    protocolError('a bulk is not followed by CRLF'),
  ),
  open(
    'commands inside a value',
    encodeCommand(['ECHO', 'x\r\n*1\r\n$8\r\nFLUSHALL\r\n']),
    '$21\r\nx\r\n*1\r\n$8\r\nFLUSHALL\r\n\r\n',
  ),
  closed('QUIT and then SET', 'QUIT\r\nSET after quit\r\n', '+OK\r\n'),
  closed(
    'QUIT and then SET as arrays',
    encodeCommand(['QUIT']) + encodeCommand(['SET', 'after', 'quit']),
    '+OK\r\n',
  ),
  open('an empty name', '*1\r\n$0\r\n\r\n', /^-ERR unknown command ''/),
  open(
    'a name of 1 MB',
    encodeCommand(['A'.repeat(1 << 20)]),
    /^-ERR unknown command.{0,256}\r\n$/,
  ),
  open('CRLF in a name', encodeCommand(['AB\r\n+OK\r\n']), /^-ERR unknown command 'AB {2}\+OK/),
  open(
    'a name that is no UTF-8',
    Buffer.from('*1\r\n$3\r\n\xff\xfe\x80\r\n', 'latin1'),
    /^-ERR unknown command '\xff\xfe\x80/,
  ),
  open('inline PING', 'PING\r\n', '+PONG\r\n'),
  closed('NUL inline', 'PI\0NG', protocolError('NUL in an inline request')),
  closed('a long inline line', 'A'.repeat(65_537), protocolError('too big inline request')),
  closed('unbalanced quotes', 'SET a "b\r\n', protocolError('unbalanced quotes in request')),
  open('escapes in quotes', 'ECHO "a\\r\\nb"\r\n', '$4\r\na\r\nb\r\n'),
  open('30,000 inline words', `EXISTS${' a'.repeat(30_000)}\r\n`, ':0\r\n'),
  closed('HTTP GET', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', ''),
  closed('HTTP POST', 'POST / HTTP/1.1\r\n\r\nSET pwned 1\r\n', ''),
  closed('Host:', 'Host: x\r\nSET pwned 1\r\n', ''),
  closed('host:', 'host: x\r\nSET pwned 1\r\n', ''),
  closed('POST as an array', encodeCommand(['POST', '/']), ''),
  closed('HTTP PUT', 'PUT /x HTTP/1.1\r\nSET pwned 1\r\n', ''),
  closed('a TLS hello', Buffer.from('160301020001', 'hex'), ''),
  closed('an SSH banner', 'SSH-2.0-OpenSSH_9.2\r\n', ''),
  closed('PROXY v1', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nSET pwned 1\r\n', ''),
  closed(
    'PROXY v2',
    Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
    /^-ERR Protocol error: [^\r]*\r\n$/,
  ),
  open('memcached get', 'get foo\r\n', '$-1\r\n'),
  closed('an attribute', '|1\r\n+a\r\n+b\r\n*1\r\n$4\r\nPING\r\n', /^-ERR Protocol error/),
  open('HELLO 4', 'HELLO 4\r\n', '-NOPROTO unsupported protocol version\r\n'),
  open('HELLO 3', 'HELLO 3\r\n', /^%7\r\n\$6\r\nserver\r\n/),
  open(
    'a name with a newline',
    encodeCommand(['CLIENT', 'SETNAME', 'a\nb']),
    '-ERR Client names cannot contain spaces, newlines or special characters.\r\n',
  ),
  open(
    'CLIENT REPLY SKIP',
    encodeCommand(['CLIENT', 'REPLY', 'SKIP']) +
      encodeCommand(['ECHO', 'unseen']) +
      encodeCommand(['ECHO', 'seen']),
    '$4\r\nseen\r\n',
  ),
  open(
    'CLIENT REPLY OFF',
    encodeCommand(['CLIENT', 'REPLY', 'OFF']) + encodeCommand(['ECHO', 'unseen']),
    '',
  ),
  open('__proto__', encodeCommand(['__proto__']), /^-ERR unknown command '__proto__'/),
  open('constructor', encodeCommand(['constructor']), /^-ERR unknown command 'constructor'/),
  open(
    'SUBSCRIBE and then GET in RESP2',
    encodeCommand(['SUBSCRIBE', 'c']) + encodeCommand(['GET', 'x']),
    /^\*3\r\n\$9\r\nsubscribe\r\n\$1\r\nc\r\n:1\r\n-ERR Can't execute 'get'/,
  ),
  open(
    'EXEC after an unknown command',
    encodeCommand(['MULTI']) + encodeCommand(['NOSUCH']) + encodeCommand(['EXEC']),
    /^\+OK\r\n-ERR unknown command 'NOSUCH'[^\r]*\r\n-EXECABORT [^\r]*\r\n$/,
  ),
  open('EXEC without MULTI', encodeCommand(['EXEC']), '-ERR EXEC without MULTI\r\n'),
  open(
    'SELECT out of range',
    encodeCommand(['SELECT', '99999999']),
    '-ERR DB index is out of range\r\n',
  ),
  ...['SYNC', 'PSYNC', 'REPLCONF', 'SHUTDOWN', 'DEBUG', 'REPLICAOF', 'slaveof', 'FaiLover'].map(
    (name) => open(name, encodeCommand([name, '?', '-1']), /^-NOPERM [^\r]*not allowed[^\r]*\r\n$/),
  ),
  open('MODULE LOAD', encodeCommand(['MODULE', 'LOAD', '/x']), /^-NOPERM/),
  open('CLUSTER RESET', encodeCommand(['CLUSTER', 'RESET']), /^-NOPERM/),
  open('inline shutdown', 'shutdown nosave\r\n', /^-NOPERM/),
  open(
    'SHUTDOWN in MULTI',
    encodeCommand(['MULTI']) + encodeCommand(['SHUTDOWN']) + encodeCommand(['EXEC']),
    /^\+OK\r\n-NOPERM [^\r]*\r\n-EXECABORT [^\r]*\r\n$/,
  ),
  open(
    'MULTI and a command of 300 KB',
    encodeCommand(['MULTI']) +
      encodeCommand(['SET', 'big', 'x'.repeat(300_000)]) +
      encodeCommand(['STRLEN', 'big']) +
      encodeCommand(['EXEC']),
    '+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:300000\r\n',
  ),
  open(
    'a nested reply of depth 5000',
    encodeCommand(['EVAL', 'local t = {} for i = 1, 5000 do t = {t} end return t', '0']),
    new RegExp(`^(\\*1\r\n){5000}\\*0\r\n$`),
  ),
]

test('every hostile input gets what it should and nobody else notices', async (t) => {
  const rig = await startRig(t)
  const bystander = await rig.client()
  for (const row of rows) await t.test(row.name, (t) => tryRow(t, rig, row, bystander))
  const direct = await rig.direct()
  assert.equal(await direct.ask('EXISTS', 'pwned', 'after'), ':0\r\n')
  assert.ok(!('polluted' in {}))
})

async function tryRow(
  _t: TestContext,
  rig: Rig,
  row: Row,
  bystander: Awaited<ReturnType<Rig['client']>>,
): Promise<void> {
  const client = await rig.client()
  client.send(row.input)
  const isAsExpected = () =>
    typeof row.reply === 'string' ? client.text() === row.reply : row.reply.test(client.text())
  await until('the reply comes', isAsExpected, 3000).catch(() => {})
  const shown = client.text().slice(0, 300)
  assert.ok(isAsExpected(), `unexpected: ${JSON.stringify(shown)} (${client.text().length} bytes)`)
  if (row.isClosed) await until('the connection closes', () => client.isClosed, 3000)
  const start = performance.now()
  assert.equal(await bystander.ask('PING'), '+PONG\r\n')
  assert.ok(performance.now() - start < 500, 'the bystander was delayed')
  assert.equal(client.isClosed, row.isClosed)
  client.socket.destroy()
}
