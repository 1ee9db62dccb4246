/**
 * Which commands clients may send. A configuration’s lists and the defaults are compiled once, so that a command that
 * no rule names costs nothing. Decided on the words that the server would read, wherever they come; what scripts do
 * is not seen.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { defaultDecisions } from './default-policy.ts'
import { mayNameSecret } from './secret-settings.ts'

export interface PolicyQuestion {
  /** In upper case. */
  readonly name: string
  /** Whether its first argument is a sub-command. */
  readonly isContainer: boolean
  /** Whether its server calls it administrative and the defaults do not know it. */
  readonly isAdmin: boolean
  readonly argumentCount: number
  /** An argument in upper case, or the empty string. */
  word(index: number): string
}

interface Rule {
  readonly isRefused: boolean
  /** Sub-commands that are decided otherwise, in upper case. */
  readonly exceptions: ReadonlySet<string>
}

/** These carry no data and are how a client gets in and out; servers let them through as well. */
const alwaysAllowed: ReadonlySet<string> = new Set(['AUTH', 'HELLO', 'QUIT', 'RESET'])
/** Arguments of a CONFIG GET that are looked at. */
const settingsReadMax = 32

export class CommandPolicy {
  /** Whether names that no rule has are refused. */
  readonly refusesOthers: boolean
  private readonly rules: ReadonlyMap<string, Rule>
  private readonly given = new Map<string, boolean>()
  private readonly guardsSecrets: boolean

  constructor(config: ProxyConfig['commands']) {
    const { given } = this
    for (const name of config?.allow ?? []) given.set(name.toUpperCase(), false)
    // A name in both lists is refused.
    for (const name of config?.deny ?? []) given.set(name.toUpperCase(), true)
    this.refusesOthers = given.get('*') ?? false
    this.guardsSecrets = ['CONFIG|GET', 'CONFIG', '*'].every((name) => !given.has(name))
    this.rules = compile(given)
  }

  /** Upper-case names of commands that have to be looked at. */
  names(): readonly string[] {
    return [...this.rules.keys()]
  }

  /** Whether every such command passes, whatever its arguments turn out to be. */
  passesUnread(command: Omit<PolicyQuestion, 'argumentCount' | 'word'>): boolean {
    const isRead = command.isContainer && (this.refusesOthers || this.rules.has(command.name))
    if (isRead) return false
    return this.refusal({ ...command, argumentCount: 1, word: () => '' }) === undefined
  }

  /** The name to allow in lower case, `config|set` for a sub-command, if the command is refused. */
  refusal(command: PolicyQuestion): string | undefined {
    const { name } = command
    if (alwaysAllowed.has(name)) return undefined
    const rule = this.rules.get(name) ?? this.adminRule(command)
    const subcommand = command.isContainer ? command.word(1) : ''
    const isException = rule?.exceptions.has(subcommand) === true
    const isRefused = (rule?.isRefused ?? this.refusesOthers) !== isException
    const isSecret = !isRefused && this.guardsSecrets && name === 'CONFIG' && asksForSecret(command)
    if (!isRefused && !isSecret) return undefined
    const isShown = /^[A-Z0-9._-]{1,64}$/.test(subcommand)
    return (isShown ? `${name}|${subcommand}` : name.slice(0, 64)).toLowerCase()
  }

  /** A command that its server calls administrative passes only by name, or where everything does. */
  private adminRule({ name, isAdmin }: PolicyQuestion): Rule | undefined {
    if (!isAdmin || this.given.get('*') !== undefined) return undefined
    const allowed = [...this.given].filter(([path, isDenied]) => {
      return !isDenied && path.startsWith(`${name}|`)
    })
    const exceptions = new Set(allowed.map(([path]) => path.slice(name.length + 1)))
    return { isRefused: !this.given.has(name), exceptions }
  }
}

/** The text of a refusal, without the leading `-`. */
export function refusalText(name: string): string {
  return `NOPERM '${name}' is not allowed by the proxy's command policy (RM_COMMAND_REFUSED); name it in commands.allow or RESPMESH_COMMANDS_ALLOW, or send it to the server itself`
}

function compile(given: ReadonlyMap<string, boolean>): ReadonlyMap<string, Rule> {
  const defaults = new Map(
    [...defaultDecisions].map(([name, { kind }]) => [name.toUpperCase(), kind === 'refused']),
  )
  const full = [...given.keys(), ...defaults.keys()].filter((name) => name !== '*')
  const rules = new Map<string, Rule>()
  for (const name of new Set(full.map((path) => path.split('|')[0] ?? ''))) {
    const decide = (path: string) => given.get(path) ?? given.get(name) ?? given.get('*')
    const isRefused = decide(name) ?? defaults.get(name) ?? false
    const subcommands = full.filter((path) => path.startsWith(`${name}|`))
    const exceptions = subcommands.filter(
      (path) => (decide(path) ?? defaults.get(path) ?? isRefused) !== isRefused,
    )
    const others = given.get('*') ?? false
    if (!isRefused && exceptions.length === 0 && !others && name !== 'CONFIG') continue
    rules.set(name, {
      isRefused,
      exceptions: new Set(exceptions.map((path) => path.slice(name.length + 1))),
    })
  }
  return rules
}

function asksForSecret(command: PolicyQuestion): boolean {
  if (command.word(1) !== 'GET') return false
  if (command.argumentCount > settingsReadMax) return true
  for (let index = 2; index < command.argumentCount; index += 1) {
    if (mayNameSecret(command.word(index).toLowerCase())) return true
  }
  return false
}
