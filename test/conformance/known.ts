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

export const knownDifferences: readonly KnownDifference[] = [
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
]
