/** The users that clients may be, made again when the file of a name or password changes. */
import type { ProxyConfig, SecretRef } from '../../common/contract/proxy-config.ts'
import type { FileValue, FileWatch } from '../../common/secret-files.ts'
import { readSecret } from '../../common/secret.ts'
import { Authenticator } from './authentication.ts'

export interface UserSourceModules {
  readonly files: FileWatch
  readonly env: Readonly<Record<string, string | undefined>>
  /** A file changed: logins from now on are checked with this one. */
  readonly onChange: (authenticator: Authenticator) => void
}

type Users = NonNullable<ProxyConfig['clientAuth']>['users']

export class UserSource {
  private readonly modules: UserSourceModules
  private present: { readonly key: string; readonly value: FileValue<Authenticator> } | undefined

  constructor(modules: UserSourceModules) {
    this.modules = modules
  }

  /** @throws ConfigError RM_SECRET_UNREADABLE; what was used before stays then */
  use(users: Users | undefined): Authenticator | undefined {
    const key = JSON.stringify(users)
    if (users !== undefined && this.present?.key === key) return this.present.value.current()
    const { files, env, onChange } = this.modules
    const value =
      users &&
      files.value({
        what: 'users and passwords of clients',
        files: users.flatMap(({ username, password }) => filesOf(username, password)),
        read: () =>
          new Authenticator(
            users.map(({ username, password }) => ({
              password: readSecret(password, env),
              ...(username && { username: readSecret(username, env) }),
            })),
          ),
        onChange,
      })
    this.present?.value.close()
    this.present = value && { key, value }
    return value?.current()
  }
}

function filesOf(...references: readonly (SecretRef | undefined)[]): string[] {
  return references.flatMap((reference) => reference?.file ?? [])
}
