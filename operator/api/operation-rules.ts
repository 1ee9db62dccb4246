/** Rules over more than one field of a `RedisProxyOperation`: each as CEL and as a predicate, like those of `rules.ts`. */
import type { OperationSpec } from './operation.ts'

export interface OperationRule {
  readonly cel: string
  readonly message: string
  readonly holds: (spec: OperationSpec) => boolean
}

export const operationRules: readonly OperationRule[] = [
  {
    cel: "self.kind != 'Promote' || has(self.to)",
    message: 'Promote names the server: to',
    holds: ({ kind, to }) => kind !== 'Promote' || to !== undefined,
  },
  {
    cel: "self.kind == 'Promote' || self.accept.size() == 0",
    message: 'accept goes with kind Promote: a Switchover loses nothing, or does not happen',
    holds: ({ kind, accept }) => kind === 'Promote' || accept.length === 0,
  },
]

/** Over an update: CEL only. */
export const operationTransitionRules = {
  spec: [
    {
      rule: 'self == oldSelf',
      message: 'an operation cannot be changed; make another one',
    },
  ],
  status: [
    {
      rule: "!has(oldSelf.phase) || !(oldSelf.phase in ['Succeeded', 'Failed']) || (has(self.phase) && self.phase == oldSelf.phase)",
      message: 'an operation that has ended stays as it ended',
    },
  ],
} as const
