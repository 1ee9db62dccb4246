/** The lists of commands that variables allow and deny. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { Problems } from './problems.ts'
import type { Given, GivenSettings } from './settings.ts'

const nameForm = /^(\*|[a-z0-9._-]{1,64}(\|[a-z0-9._-]{1,64})?)$/

export function readCommandPolicy(
  given: GivenSettings,
  problems: Problems,
): ProxyConfig['commands'] {
  const { commandsAllow, commandsDeny } = given
  if (commandsAllow === undefined && commandsDeny === undefined) return undefined
  const allow = readNames(commandsAllow, problems)
  const deny = readNames(commandsDeny, problems)
  return { ...(allow && { allow }), ...(deny && { deny }) }
}

function readNames(given: Given | undefined, problems: Problems): string[] | undefined {
  if (given === undefined) return undefined
  const names = given.value.split(',').map((name) => name.trim().toLowerCase())
  const wrong = names.filter((name) => !nameForm.test(name))
  if (wrong.length > 0) {
    problems.add(given, 'expected names of commands, e.g. monitor,config|set or * for all')
  }
  return [...new Set(names)]
}
