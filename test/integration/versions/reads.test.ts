/**
 * What may be asked of a replica has no effect on any version of the servers: neither the data nor the stream to replicas
 * changes when a primary runs it, and a replica runs it and answers alike.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { readCommandFile } from '../../../scripts/generate/commands.ts'
import { factsIn } from '../../../scripts/generate/commands-model.ts'
import { allTraits } from '../../../sidecar/route/traits.ts'
import { type ServerProgram, seriesStates } from '../../support/server-versions.ts'
import { startServer, until } from '../../support/servers.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { type Client, connect } from '../sidecar/harness.ts'

const file = await readCommandFile()
const quiet = ['--repl-ping-replica-period', '3600']

/** What is there to be read; a version that lacks a command says so, and its reads are not tried. */
const seeds = `
  SET s hello | SET n 5 | SET volatile x EX 10000 | SETBIT bits 7 1 | RPUSH l a b c a | SADD x 1 2 3 | SADD y 2 3 4
  ZADD z 1 a 2 b 3 c | ZADD w 5 b | HSET h f 1 g 2 | HEXPIRE h 10000 FIELDS 1 f | PFADD p a b
  GEOADD geo 13.361389 38.115556 a 15.087269 37.502669 b | XADD st 1-1 f v | XADD st 2-1 f w
  XGROUP CREATE st g 0 | XREADGROUP GROUP g c STREAMS st > | VADD v VALUES 2 1 0 one | VADD v VALUES 2 0 1 two
  VSETATTR v one {"a":1}`

/** By command; `?` before what is drawn by chance, or may be in any order, and cannot be compared. */
const examples: Readonly<Record<string, string>> = {
  bitcount: 'BITCOUNT s | BITCOUNT bits 0 0 BIT',
  bitfield_ro: 'BITFIELD_RO bits GET u8 0',
  bitpos: 'BITPOS bits 1',
  dbsize: 'DBSIZE',
  digest: 'DIGEST s',
  dump: 'DUMP s | DUMP none',
  exists: 'EXISTS s none l',
  expiretime: 'EXPIRETIME volatile',
  geodist: 'GEODIST geo a b km',
  geohash: 'GEOHASH geo a none',
  geopos: 'GEOPOS geo a',
  georadius_ro: 'GEORADIUS_RO geo 15 37 200 km',
  georadiusbymember_ro: 'GEORADIUSBYMEMBER_RO geo a 200 km',
  geosearch: 'GEOSEARCH geo FROMMEMBER a BYRADIUS 200 km ASC',
  get: 'GET s | GET none | GET l | GET volatile',
  getbit: 'GETBIT bits 7',
  getrange: 'GETRANGE s 1 3',
  hexists: 'HEXISTS h f',
  hexpiretime: 'HEXPIRETIME h FIELDS 2 f g',
  hget: 'HGET h f',
  hgetall: 'HGETALL h',
  hkeys: 'HKEYS h',
  hlen: 'HLEN h',
  hmget: 'HMGET h f none',
  hpexpiretime: 'HPEXPIRETIME h FIELDS 1 f',
  hpttl: '? HPTTL h FIELDS 1 f',
  hrandfield: '? HRANDFIELD h 5 WITHVALUES',
  hstrlen: 'HSTRLEN h f',
  httl: '? HTTL h FIELDS 1 f',
  hvals: 'HVALS h',
  keys: '? KEYS *',
  lcs: 'LCS s n IDX',
  lindex: 'LINDEX l 1',
  llen: 'LLEN l | LLEN s',
  lolwut: 'LOLWUT VERSION 0',
  lpos: 'LPOS l a COUNT 0',
  lrange: 'LRANGE l 0 -1',
  mget: 'MGET s none l n',
  pexpiretime: 'PEXPIRETIME volatile',
  pttl: '? PTTL volatile',
  randomkey: '? RANDOMKEY',
  scard: 'SCARD x',
  sdiff: 'SDIFF x y',
  sinter: 'SINTER x y',
  sintercard: 'SINTERCARD 2 x y LIMIT 1',
  sismember: 'SISMEMBER x 1',
  smembers: 'SMEMBERS x',
  smismember: 'SMISMEMBER x 1 9',
  sort_ro: 'SORT_RO x DESC LIMIT 0 2 | SORT_RO l ALPHA BY nosort GET #',
  srandmember: '? SRANDMEMBER x 2',
  strlen: 'STRLEN s',
  substr: 'SUBSTR s 0 1',
  sunion: 'SUNION x y',
  ttl: '? TTL volatile',
  type: 'TYPE s | TYPE none',
  vcard: 'VCARD v',
  vdim: 'VDIM v',
  vemb: 'VEMB v one',
  vgetattr: 'VGETATTR v one',
  vismember: 'VISMEMBER v one',
  vrandmember: '? VRANDMEMBER v 1',
  vrange: 'VRANGE v - +',
  vsim: 'VSIM v VALUES 2 1 0 COUNT 1',
  xlen: 'XLEN st',
  xpending: 'XPENDING st g | ? XPENDING st g - + 10',
  xrange: 'XRANGE st - +',
  xrevrange: 'XREVRANGE st + - COUNT 1',
  zcard: 'ZCARD z',
  zcount: 'ZCOUNT z -inf 2',
  zdiff: 'ZDIFF 2 z w WITHSCORES',
  zinter: 'ZINTER 2 z w WITHSCORES',
  zintercard: 'ZINTERCARD 2 z w',
  zlexcount: 'ZLEXCOUNT z - +',
  zmscore: 'ZMSCORE z a none',
  zrandmember: '? ZRANDMEMBER z 2',
  zrange: 'ZRANGE z 0 -1 REV WITHSCORES',
  zrangebylex: 'ZRANGEBYLEX z - +',
  zrangebyscore: 'ZRANGEBYSCORE z 1 2 WITHSCORES',
  zrank: 'ZRANK z b',
  zrevrange: 'ZREVRANGE z 0 1',
  zrevrangebylex: 'ZREVRANGEBYLEX z + -',
  zrevrangebyscore: 'ZREVRANGEBYSCORE z 3 1',
  zrevrank: 'ZREVRANK z b',
  zscore: 'ZSCORE z a',
  zunion: 'ZUNION 2 z w WITHSCORES',
}

test('every command that a replica may be asked has an example, and no other', () => {
  const names = allTraits()
    .filter(({ readsOnly }) => readsOnly)
    .map(({ name }) => name)
  assert.deepEqual(names.toSorted(), Object.keys(examples).toSorted())
})

for (const state of await seriesStates()) {
  const series = `${state.name} ${state.series}`
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  test(`${series} changes nothing when it is read`, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind === 'found') await readBoth(t, state.program, series)
  })
}

async function readBoth(t: TestContext, program: ServerProgram, series: string): Promise<void> {
  const primary = await startServer({ program, args: quiet })
  t.after(() => primary.stop())
  const replica = await startServer({ program, args: quiet, replicaOf: primary })
  t.after(() => replica.stop())
  await until(
    'the replica follows',
    async () => (await replica.info('master_link_status')) === 'up',
  )
  const [onPrimary, onReplica] = [await connect(t, primary.port), await connect(t, replica.port)]
  await askAll(onPrimary, linesOf(seeds))
  assert.deepEqual(await askAll(onPrimary, ['WAIT 1 10000']), [':1\r\n'])
  const all = [...factsIn(file, series).keys()].flatMap((name) => linesOf(examples[name] ?? ''))
  const lines = all.map((line) => line.replace('? ', ''))
  // What the server says of itself before the first line and after every line.
  const told = await askAll(onPrimary, ['INFO', ...lines.flatMap((line) => [line, 'INFO'])])
  const toldByReplica = await askAll(onReplica, lines)
  const before = stateOf(told[0])
  for (const [index, line] of lines.entries()) {
    assert.deepEqual(stateOf(told[2 * index + 2]), before, `${line} changes something`)
    assert.doesNotMatch(toldByReplica[index] ?? '', /^-(READONLY|ERR|MISCONF)/, line)
    if (line === all[index]) assert.equal(toldByReplica[index], told[2 * index + 1], line)
  }
  const [, after] = await askAll(onPrimary, ['SET s changed', 'INFO'])
  assert.notDeepEqual(stateOf(after), before, 'a change would have been seen')
}

/** What changes with the data, and with what replicas are told. */
function stateOf(info = ''): readonly string[] {
  return ['rdb_changes_since_last_save', 'master_repl_offset'].map(
    (field) => new RegExp(`${field}:\\d+`).exec(info)?.[0] ?? assert.fail(field),
  )
}

function linesOf(text: string): readonly string[] {
  return text
    .split(/[|\n]/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

function askAll(client: Client, lines: readonly string[]): Promise<readonly string[]> {
  client.send(Buffer.concat(lines.map((line) => encodeCommand(line.split(' ')))))
  return client.replies(lines.length)
}
