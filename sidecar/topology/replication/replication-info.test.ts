import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseReplicationInfo } from './replication-info.ts'

const primary = `# Replication\r
role:master\r
connected_slaves:2\r
slave0:ip=10.0.0.7,port=6379,state=online,offset=42,lag=0\r
slave1:ip=fd00::1,port=6380,state=wait_bgsave,offset=0,lag=3\r
master_failover_state:no-failover\r
master_replid:0a1b\r
master_replid2:0000\r
master_repl_offset:77\r
second_repl_offset:-1\r
`
const replica = `# Replication\r
role:slave\r
master_host:cache-0.cache\r
master_port:6379\r
master_link_status:down\r
master_sync_in_progress:1\r
slave_read_repl_offset:70\r
slave_repl_offset:66\r
connected_slaves:0\r
master_replid:0a1b\r
master_repl_offset:60\r
`

test('a primary says what it has written and who follows it', () => {
  const info = parseReplicationInfo(primary, 64)
  assert.equal(info?.role, 'primary')
  assert.equal(info.lineage, '0a1b')
  assert.equal(info.offset, 77)
  assert.deepEqual(info.followers, [
    { host: '10.0.0.7', port: 6379 },
    { host: 'fd00::1', port: 6380 },
  ])
  assert.equal(info.follows, undefined)
})

test('a replica says what it has applied, whom it follows and whether it hears it', () => {
  assert.deepEqual(parseReplicationInfo(replica, 64), {
    role: 'replica',
    lineage: '0a1b',
    offset: 66,
    isLinkUp: false,
    isSyncing: true,
    follows: { host: 'cache-0.cache', port: 6379 },
    followers: [],
  })
})

test('no more followers are taken than asked for, and none with an address that is none', () => {
  assert.equal(parseReplicationInfo(primary, 1)?.followers.length, 1)
  const hostile = primary.replace('10.0.0.7', '/etc/passwd').replace('6380', '70000')
  assert.deepEqual(parseReplicationInfo(hostile, 64)?.followers, [])
})

test('what is not such an answer is not taken for one', () => {
  assert.equal(parseReplicationInfo('', 64), undefined)
  assert.equal(parseReplicationInfo('NOPERM this user has no permissions', 64), undefined)
  assert.equal(parseReplicationInfo('role:sentinel\r\n', 64), undefined)
  assert.equal(parseReplicationInfo(primary.replace('77', '1e3'), 64), undefined)
  fc.assert(fc.property(fc.string(), (text) => void parseReplicationInfo(text, 64)))
})
