/** What commands are called on servers where they were renamed. */
import type { Secret } from '../../common/secret.ts'

export interface CommandNames {
  readonly replicaof?: string
  readonly config?: string
  readonly acl?: string
  readonly client?: string
}

/** A command by its usual name. What is a `Secret` is in no log and no error. */
export type CommandParts = readonly (string | Secret)[]

/** The command as a server with these names knows it. */
export function renamed(name: string, names: CommandNames = {}): string {
  switch (name) {
    case 'REPLICAOF':
    case 'SLAVEOF':
      return names.replicaof ?? name
    case 'CONFIG':
      return names.config ?? name
    case 'ACL':
      return names.acl ?? name
    case 'CLIENT':
      return names.client ?? name
    default:
      return name
  }
}
