/** Commands that are refused by default: they would change the process or the topology behind the proxy. */
import { clusterReads, type CommandKind, moduleWrites } from '../../common/redis/command-table.ts'

/** Whether a command of this kind, with this upper-case sub-command, is refused. */
export function isDenied(kind: CommandKind, subcommand: string): boolean {
  if (kind === 'denied') return true
  if (kind === 'cluster') return !clusterReads.has(subcommand)
  return kind === 'module' && moduleWrites.has(subcommand)
}

/** The text of the refusal, without the leading `-`. */
export function deniedText(name: string): string {
  const shown = name.toLowerCase().slice(0, 64)
  return `NOPERM '${shown}' is not allowed through the proxy (RM_UNSUPPORTED); send it to the server itself`
}
