/** C: whole commands that harm those who do not expect them. S: what a client may do before it has logged in. */
import { closed, open, ping, pong, protocolError, type Row } from './row.ts'
import { type Bytes, command } from './wire.ts'

const all = (...commands: readonly (readonly Bytes[])[]): Buffer =>
  Buffer.concat(commands.map((words) => command(...words)))
const unknownCommand = (name: string) => new RegExp(`^-ERR unknown command '${name}'[^\r\n]*\r\n$`)
const noAuth = '-NOAUTH Authentication required.\r\n'
const nested = (depth: number) =>
  command('EVAL', `local t = {} for i = 1, ${depth} do t = {t} end return t`, '0')

export const commandRows: readonly Row[] = [
  open('C01', 'HELLO 4', 'HELLO 4\r\n', '-NOPROTO unsupported protocol version\r\n'),
  open('C02', 'HELLO 3', 'HELLO 3\r\n', /^%7\r\n\$6\r\nserver\r\n/),
  open(
    'C03',
    'HELLO 3 with a wrong password where none is asked for',
    all(['HELLO', '3', 'AUTH', 'default', 'wrong']),
    /^(%7\r\n\$6\r\nserver\r\n|-WRONGPASS |-ERR )/,
  ),
  open(
    'C04',
    'a client name with a newline',
    all(['CLIENT', 'SETNAME', 'a\nb']),
    '-ERR Client names cannot contain spaces, newlines or special characters.\r\n',
  ),
  open(
    'C05',
    'CLIENT REPLY SKIP',
    all(['CLIENT', 'REPLY', 'SKIP'], ['ECHO', 'unseen'], ['ECHO', 'seen']),
    '$4\r\nseen\r\n',
  ),
  open(
    'C06',
    'CLIENT REPLY OFF and ON',
    all(['CLIENT', 'REPLY', 'OFF'], ...Array.from({ length: 100 }, () => ['ECHO', 'unseen']), [
      'CLIENT',
      'REPLY',
      'ON',
    ]),
    '+OK\r\n',
  ),
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map((name, index) =>
    open(`C${['07', '08', '09', '09b', '09c'][index]}`, name, command(name), unknownCommand(name)),
  ),
  open(
    'C10',
    'HSET of __proto__',
    all(['DEL', 'h'], ['HSET', 'h', '__proto__', '1', 'constructor', '2'], ['HGETALL', 'h']),
    /^:\d\r\n:2\r\n\*4\r\n\$9\r\n__proto__\r\n\$1\r\n1\r\n\$11\r\nconstructor\r\n\$1\r\n2\r\n$/,
  ),
  closed(
    'C11',
    '1,000 wrong passwords',
    all(...Array.from({ length: 1000 }, () => ['AUTH', 'wrong'])),
    /^(-WRONGPASS [^\r\n]*\r\n){32}$/,
    { isLogin: true, deadlineMs: 10_000 },
  ),
  closed(
    'C12',
    'MULTI and SET, then FIN',
    all(['MULTI'], ['SET', 'half', '1']),
    /^\+OK\r\n\+QUEUED\r\n$/,
    {
      afterwards: 'end',
    },
  ),
  closed(
    'C12b',
    'MULTI and SET, then RST',
    all(['MULTI'], ['SET', 'half', '1']),
    /^(\+OK\r\n(\+QUEUED\r\n)?)?$/,
    {
      afterwards: 'reset',
    },
  ),
  open(
    'C13',
    'MULTI, an unknown command, EXEC',
    all(['MULTI'], ['NOSUCH'], ['EXEC']),
    /^\+OK\r\n-ERR unknown command 'NOSUCH'[^\r]*\r\n-EXECABORT [^\r]*\r\n$/,
  ),
  open('C14', 'EXEC without MULTI', all(['EXEC']), '-ERR EXEC without MULTI\r\n'),
  open(
    'C15',
    'SUBSCRIBE, then GET in RESP2',
    all(['SUBSCRIBE', 'c1'], ['GET', 'x'], ['UNSUBSCRIBE', 'c1']),
    /^\*3\r\n\$9\r\nsubscribe\r\n\$2\r\nc1\r\n:1\r\n-ERR Can't execute 'get'[^\r]*\r\n\*3\r\n\$11\r\nunsubscribe\r\n/,
  ),
  open(
    'C16',
    'KEYS with a pattern that backtracks',
    all(['SET', 'a'.repeat(40), '1'], ['KEYS', `${'a*'.repeat(12)}b`]),
    '+OK\r\n*0\r\n',
  ),
  open(
    'C22',
    'SELECT out of range',
    all(['SELECT', '99999999']),
    '-ERR DB index is out of range\r\n',
  ),
  open(
    'C23',
    'SETRANGE beyond 512 MB',
    all(['SETRANGE', 'big', '536870911', 'xx']),
    /^-ERR string exceeds maximum allowed size/,
  ),
  open(
    'C24',
    'EVAL of an error with CRLF',
    all(['EVAL', "return redis.error_reply('X\\r\\n+OK')", '0']),
    /^-(ERR )?X {2}\+OK\r\n$/,
  ),
  open('C25', 'a reply nested 5,000 deep', nested(5000), /^(\*1\r\n){5000}\*0\r\n$/),
  open(
    'C26',
    'MULTI in MULTI',
    all(['MULTI'], ['MULTI'], ['DISCARD']),
    /^\+OK\r\n-ERR MULTI calls can not be nested\r\n\+OK\r\n$/,
  ),
  open(
    'C27',
    'WATCH in MULTI',
    all(['MULTI'], ['WATCH', 'a'], ['DISCARD']),
    /^\+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n\+OK\r\n$/,
  ),
  open('C28', 'DISCARD without MULTI', all(['DISCARD']), '-ERR DISCARD without MULTI\r\n'),
  open(
    'C29',
    'MULTI, a command of 300 KB, EXEC',
    all(['MULTI'], ['SET', 'big', 'x'.repeat(300_000)], ['STRLEN', 'big'], ['EXEC']),
    '+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:300000\r\n',
  ),
  open('C30', 'SELECT of rubbish', all(['SELECT', 'x']), /^-ERR /),
  open('C31', 'SELECT of a sum', all(['SELECT', '0 1']), /^-ERR /),
  open('C32', 'HELLO of rubbish', all(['HELLO', 'x']), /^-(ERR|NOPROTO) /),
  open('C33', 'HELLO with half of AUTH', all(['HELLO', '3', 'AUTH', 'x']), /^-ERR /),
  open('C34', 'HELLO with a bad name', all(['HELLO', '3', 'SETNAME', 'a b']), /^-ERR /),
  open(
    'C35',
    'CLIENT of rubbish',
    all(['CLIENT', '\r\n+OK']),
    /^-ERR unknown subcommand [^\r\n]*\r\n$/i,
  ),
  open(
    'C36',
    'CLIENT alone',
    all(['CLIENT']),
    /^-ERR wrong number of arguments for 'client' command\r\n$/,
  ),
  open(
    'C37',
    'a name set by CLIENT SETNAME with CRLF',
    all(['CLIENT', 'SETNAME', 'x\r\nname=y']),
    /^-ERR Client names cannot contain/,
  ),
  open(
    'C38',
    'CLIENT SETINFO with a newline',
    all(['CLIENT', 'SETINFO', 'lib-name', 'a\nb']),
    /^-ERR /,
  ),
  open(
    'C39',
    'a subscription to 10,000 channels and none',
    subscribeMany(10_000),
    /\*3\r\n\$11\r\nunsubscribe\r\n\$\d+\r\n[^\r]*\r\n:0\r\n$/,
    {
      deadlineMs: 10_000,
    },
  ),
  open(
    'C40',
    'BLPOP of nothing for 10 ms',
    all(['BLPOP', 'nothing', '0.01'], ['PING']),
    `*-1\r\n${pong}`,
  ),
  open(
    'C41',
    'BLPOP with a timeout of rubbish',
    all(['BLPOP', 'nothing', 'x']),
    /^-ERR timeout is not a float/,
  ),
  closed('C42', 'BLPOP for ever, then FIN', all(['BLPOP', 'nothing', '0']), '', {
    afterwards: 'end',
  }),
  closed(
    'C43',
    'SUBSCRIBE, then FIN',
    all(['SUBSCRIBE', 'c']),
    /^(\*3\r\n\$9\r\nsubscribe\r\n\$1\r\nc\r\n:1\r\n)?$/,
    { afterwards: 'end' },
  ),
  open(
    'C44',
    'RESET after MULTI and WATCH',
    all(['WATCH', 'a'], ['MULTI'], ['RESET']),
    '+OK\r\n+OK\r\n+RESET\r\n',
  ),
  open('C45', 'SCRIPT KILL of nothing', all(['SCRIPT', 'KILL']), /^-NOTBUSY /),
  open(
    'C46',
    'a command name of 64 KB with NULs',
    command('\0'.repeat(65_536)),
    /^-ERR unknown command '[^\r\n]{0,256}\r\n$/,
  ),
  open('C47', 'ECHO of 8 MB', command('STRLEN', 'x'.repeat(8 << 20)), ':0\r\n', {
    deadlineMs: 10_000,
  }),
  open('C48', 'a name in mixed case', all(['eChO', 'x']), '$1\r\nx\r\n'),
  open(
    'C49',
    'PING with three words',
    all(['PING', 'a', 'b']),
    /^-ERR wrong number of arguments for 'ping'/,
  ),
  open(
    'C51',
    'RESET with a word',
    all(['RESET', 'x']),
    "-ERR wrong number of arguments for 'reset' command\r\n",
  ),
  open(
    'C52',
    'RESET with a word while subscribed',
    all(['SUBSCRIBE', 'c'], ['RESET', 'x'], ['UNSUBSCRIBE', 'c']),
    /^\*3\r\n\$9\r\nsubscribe\r\n\$1\r\nc\r\n:1\r\n-ERR wrong number of arguments for 'reset' command\r\n\*3\r\n\$11\r\nunsub/,
  ),
  open(
    'C50',
    'a Lua error with a NUL',
    all(['EVAL', "return redis.error_reply('A\\0B')", '0']),
    /^-(ERR )?A[^\r\n]{0,2}\r\n$/,
  ),
]

function subscribeMany(count: number): Buffer {
  const channels = Array.from({ length: count }, (_, index) => `c${index}`)
  return all(['SUBSCRIBE', ...channels], ['UNSUBSCRIBE'])
}

/** Behind a password. */
export const loginRows: readonly Row[] = (
  [
    open('S701', 'PING without a password', ping, noAuth),
    open('S702', 'ten arguments', command('GET', ...'a b c d e f g h i'.split(' ')), noAuth),
    closed(
      'S703',
      'eleven arguments',
      command('GET', ...'a b c d e f g h i j'.split(' ')),
      protocolError('unauthenticated multibulk length'),
    ),
    open('S704', 'a bulk of 16,384 bytes', command('ECHO', 'x'.repeat(16_384)), noAuth),
    closed(
      'S705',
      'a bulk of 16,385 bytes',
      command('ECHO', 'x'.repeat(16_385)),
      protocolError('unauthenticated bulk length'),
    ),
    open('S706', 'AUTH with a wrong password', command('AUTH', 'wrong'), /^-WRONGPASS /),
    open('S707', 'AUTH with an unknown user', command('AUTH', 'nobody', 'secret'), /^-WRONGPASS /),
    open('S708', 'AUTH with CRLF', command('AUTH', 'x\r\n+OK'), /^-WRONGPASS [^\r\n]*\r\n$/),
    open('S709', 'HELLO 3', command('HELLO', '3'), /^-NOAUTH /),
    open(
      'S710',
      'HELLO 3 with a wrong password',
      command('HELLO', '3', 'AUTH', 'default', 'no'),
      /^-WRONGPASS /,
    ),
    open(
      'S711',
      'SET in a pipeline with AUTH',
      all(['AUTH', 'wrong'], ['SET', 'pwned', '1']),
      /^-WRONGPASS [^\r\n]*\r\n-NOAUTH [^\r\n]*\r\n$/,
    ),
    open(
      'S712',
      'MULTI and EXEC',
      all(['MULTI'], ['SET', 'pwned', '1'], ['EXEC']),
      noAuth.repeat(3),
    ),
    open('S713', 'inline SET', 'SET pwned 1\r\n', noAuth),
    open('S714', 'a refused command', all(['SHUTDOWN'], ['DEBUG', 'SEGFAULT']), noAuth.repeat(2)),
    open('S715', 'SUBSCRIBE', command('SUBSCRIBE', 'c'), noAuth),
    open('S716', 'MONITOR', command('MONITOR'), noAuth),
    open('S717', 'CLIENT LIST', command('CLIENT', 'LIST'), noAuth),
    open('S718', 'BLPOP for ever', command('BLPOP', 'x', '0'), noAuth),
    open(
      'S719',
      'the right password, then SET',
      all(['AUTH', 'secret'], ['SET', 'fine', '1']),
      '+OK\r\n+OK\r\n',
    ),
    open('S720', 'RESET', command('RESET'), /^(\+RESET|-NOAUTH [^\r\n]*)\r\n$/),
    closed('S721', 'QUIT and SET', all(['QUIT'], ['SET', 'pwned', '1']), '+OK\r\n'),
    open('S722', '10,000 PING', ping.repeat(10_000), noAuth.repeat(10_000)),
    closed(
      'S723',
      '11 words inline',
      'GET a b c d e f g h i j\r\n',
      /^(-NOAUTH[^\r]*\r\n|-ERR Protocol error: [^\r]*\r\n)?$/,
      { afterwards: 'end' },
    ),
  ] as readonly Row[]
).map((row) => ({ ...row, isLogin: true }))
