/** Tests that cannot pass through a sidecar by what it is, with the reason that the page gives. */
import type { Difference } from './outcome.ts'
import type { Mode } from './options.ts'

export interface KnownDifference extends Difference {
  /** In the one mode only. */
  readonly mode?: Mode
  /** Not tried: it would wait in vain, or spoil the tests after it. */
  readonly isLeftOut?: boolean
}

const refused = (command: string) => `refused: ${command} is not allowed through the sidecar`
const logins = 'by design: logins are between the client and the sidecar'
const names = 'by design: on a shared connection the server does not know the client’s name'
const behind =
  'by design: behind a write that CLIENT PAUSE holds, all on its shared connection wait, the test’s INFO too'

export const knownDifferences: readonly KnownDifference[] = [
  ...['Dumping an RDB - functions only: no', 'Dumping an RDB - functions only: yes'].map(
    (test) => ({ unit: 'integration/redis-cli', test, reason: refused('sync') }),
  ),
  {
    unit: 'integration/redis-cli',
    test: 'Connecting as a replica',
    reason: refused('sync'),
    isLeftOut: true,
  },
  { unit: 'unit/protocol', test: 'RESP3 attributes readraw', reason: refused('debug') },
  { unit: 'unit/multi', test: 'MULTI / EXEC with REPLICAOF', reason: refused('replicaof') },
  { unit: 'unit/multi', test: 'MULTI with SHUTDOWN', reason: refused('shutdown') },
  {
    unit: 'unit/type/list',
    test: 'MULTI + LPUSH + EXPIRE + DEBUG SLEEP on blocked client, key already expired',
    reason: refused('debug'),
    isLeftOut: true,
  },
  {
    unit: 'unit/slowlog',
    test: 'SLOWLOG - EXEC is not logged, just executed commands',
    reason: refused('debug'),
  },
  {
    unit: 'unit/tracking',
    test: 'Tracking gets notification of lazy expired keys',
    reason: refused('debug'),
  },
  { unit: 'unit/other', test: 'RESET clears authenticated state', reason: logins },
  { unit: 'unit/scripting', test: 'Script ACL check', reason: logins },
  { unit: 'unit/scripting', test: 'Script ACL check #2', reason: logins },
  {
    unit: 'unit/introspection',
    test: 'CLIENT KILL SKIPME YES/NO will kill all clients',
    reason: 'by design: the connections that the server counts are the sidecar’s',
  },
  {
    unit: 'unit/introspection',
    test: 'MONITOR supports redacting command arguments',
    reason: 'by design: MONITOR shows the sidecar’s own questions about the role as well',
  },
  {
    unit: 'unit/introspection',
    test: 'After CLIENT SETNAME, connection can still be closed',
    reason: names,
    mode: 'singleDatabase',
  },
  ...['SLOWLOG - logged entry sanity check', 'SLOWLOG - can clean older entries'].map((test) => ({
    unit: 'unit/slowlog',
    test,
    reason: refused('debug'),
  })),
  {
    unit: 'unit/slowlog',
    test: 'SLOWLOG - Some commands can redact sensitive fields',
    reason: refused('migrate'),
  },
  {
    unit: 'unit/multi',
    test: 'MULTI and script timeout',
    reason:
      'by design: a server that runs a script admits no connection, and MULTI needs one of its own',
    mode: 'singleDatabase',
  },
  ...[
    'Test write commands are paused by RO',
    'Test special commands are paused by RO',
    'Test scripts are blocked by pause RO',
    'Test multiple clients can be queued up and unblocked',
  ].map(
    (test): KnownDifference => ({
      unit: 'unit/pause',
      test,
      reason: behind,
      mode: 'singleDatabase',
      isLeftOut: true,
    }),
  ),
]
