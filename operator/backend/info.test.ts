import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isClusterNode, parseClusterInfo, parseInfo } from './info.ts'

const primary = `# Server\r
redis_version:7.0.15\r
run_id:abc\r
# Persistence\r
loading:0\r
async_loading:0\r
# Replication\r
role:master\r
connected_slaves:2\r
master_replid:h1\r
master_replid2:h0\r
master_repl_offset:120\r
second_repl_offset:81\r
# Keyspace\r
db0:keys=3,expires=1,avg_ttl=0\r
db5:keys=4,expires=0,avg_ttl=0\r
`

test('a primary is read with its history and keys', () => {
  const facts = parseInfo(primary)
  assert.equal(facts?.role, 'primary')
  assert.equal(facts?.offset, 120)
  assert.equal(facts?.secondReplOffset, 81)
  assert.equal(facts?.keyCount, 7)
  assert.equal(facts?.source, undefined)
})

test('a replica is read with whom it follows and what it applied', () => {
  const text = `run_id:r\nvalkey_version:8.1.0\nredis_version:7.2.4\nrole:slave\nmaster_host:10.0.0.1\nmaster_port:6379\nmaster_link_status:down\nmaster_sync_in_progress:1\nslave_repl_offset:99\nmaster_repl_offset:98\nslave_priority:0\nloading:1\n`
  const facts = parseInfo(text)
  assert.deepEqual(facts?.source, { host: '10.0.0.1', port: 6379 })
  assert.equal(facts?.version, '8.1.0')
  assert.equal(facts?.offset, 99)
  assert.equal(facts?.priority, 0)
  assert.deepEqual([facts?.isLinkUp, facts?.isSyncing, facts?.isLoading], [false, true, true])
})

test('text that does not say who it is is no answer', () => {
  assert.equal(parseInfo(''), undefined)
  assert.equal(parseInfo('role:sentinel\nrun_id:x\n'), undefined)
  assert.equal(parseInfo('role:master\n'), undefined)
})

test('a node of a cluster tells how the cluster is', () => {
  assert.equal(isClusterNode(primary), false)
  assert.equal(isClusterNode(`${primary}# Cluster\r\ncluster_enabled:1\r\n`), true)
  const text = 'cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:10923\r\n'
  assert.deepEqual(parseClusterInfo(`${text}cluster_size:3\r\n`), {
    isOk: false,
    slotsOk: 10_923,
    shardCount: 3,
  })
  assert.deepEqual(parseClusterInfo(''), { isOk: false, slotsOk: 0, shardCount: 0 })
})
