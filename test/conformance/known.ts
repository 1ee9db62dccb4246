/** Tests that cannot pass through a sidecar by what it is, with the reason that the page gives. */
import type { Difference } from './outcome.ts'
import type { Mode } from './options.ts'

export interface KnownDifference extends Difference {
  /** In these modes only. */
  readonly modes?: readonly Mode[]
  /** Not tried: it would wait in vain, or spoil the tests after it. */
  readonly isLeftOut?: boolean
}

const logins = 'by design: logins are between the client and the sidecar'
const names = 'by design: on a shared connection the server does not know the client’s name'

export const knownDifferences: readonly KnownDifference[] = [
  {
    unit: 'unit/introspection',
    test: 'CLIENT KILL SKIPME YES/NO will kill all clients',
    reason: 'by design: the connections that the server counts are the sidecar’s',
  },
  ...[
    'MONITOR supports redacting command arguments',
    'MONITOR correctly handles multi-exec cases',
  ].map((test) => ({
    unit: 'unit/introspection',
    test,
    reason: 'by design: MONITOR shows what the sidecar asks about roles and commands as well',
  })),
  {
    unit: 'unit/multi',
    test: 'MULTI / EXEC with REPLICAOF',
    reason:
      'by design: a server that has become a replica gets no command, the REPLICAOF NO ONE of this test either',
    isLeftOut: true,
  },
  { unit: 'unit/other', test: 'RESET clears authenticated state', reason: logins },
  { unit: 'unit/scripting', test: 'Script ACL check', reason: logins },
  { unit: 'unit/scripting', test: 'Script ACL check #2', reason: logins },
  {
    unit: 'unit/introspection',
    test: 'MONITOR can log commands issued by the scripting engine',
    reason: 'by design: MONITOR shows how the sidecar opens its connection for scripts as well',
    modes: ['singleDatabase', 'cluster'],
  },
  {
    unit: 'unit/introspection',
    test: 'After CLIENT SETNAME, connection can still be closed',
    reason: names,
    modes: ['singleDatabase', 'cluster'],
  },
  {
    unit: 'unit/replybufsize',
    test: 'verify reply buffer limits',
    reason: names,
    modes: ['singleDatabase', 'cluster'],
  },
  ...['SLOWLOG - logged entry sanity check', 'SLOWLOG - can clean older entries'].map((test) => ({
    unit: 'unit/slowlog',
    test,
    reason: names,
    modes: ['singleDatabase', 'cluster'] as const,
  })),
  {
    unit: 'unit/multi',
    test: 'MULTI and script timeout',
    reason:
      'by design: a server that runs a script admits no connection, and MULTI needs one of its own',
    modes: ['singleDatabase'],
  },
]
