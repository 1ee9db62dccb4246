/** The settings about who may connect: one user by variables, several by a folder. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Credentials, ProxyConfig } from '../../common/contract/proxy-config.ts'
import type { Problems } from './problems.ts'
import type { Given, GivenSettings } from './settings.ts'
import { readCredentials } from './upstream.ts'

const usersMax = 32

export interface ReadUsers {
  readonly clientAuth?: NonNullable<ProxyConfig['clientAuth']>
  /** Names of users, which the configuration refers to like variables. */
  readonly secrets: Readonly<Record<string, string>>
}

export function readClientUsers(given: GivenSettings, problems: Problems): ReadUsers {
  const one = readCredentials('client', given, problems)
  const directory = given.clientUsersDir
  const names = directory === undefined ? [] : readNames(directory, problems)
  const listed = names.map((name, index) => ({
    username: { env: `client_user_${index}` },
    password: { file: join(directory?.value ?? '', name) },
  }))
  const users: Credentials[] = [...(one ? [one] : []), ...listed]
  if (directory !== undefined && users.length > usersMax) {
    problems.add(directory, `there are ${users.length} users; at most ${usersMax}`)
  }
  return {
    ...(users.length > 0 && { clientAuth: { users } }),
    secrets: Object.fromEntries(names.map((name, index) => [`client_user_${index}`, name])),
  }
}

/** One file per user, as Kubernetes mounts a Secret; what begins with a dot is its own. */
function readNames(directory: Given, problems: Problems): readonly string[] {
  try {
    const names = readdirSync(directory.value).filter((name) => !name.startsWith('.'))
    if (names.length > 0) return names.toSorted()
    problems.add(directory, 'it holds no file; put one per user there, its content the password')
  } catch {
    problems.add(directory, 'it cannot be read; name a folder with one file per user')
  }
  return []
}
