/**
 * What the sidecar shows to servers: user, password and client certificate. Read again when their files change, so
 * that the next connection uses the new ones; the connections that are open go on.
 */
import type { SecureContext } from 'node:tls'
import type { Credentials, UpstreamTls } from '../../common/contract/proxy-config.ts'
import type { FileValue, FileWatch } from '../../common/secret-files.ts'
import { readSecret } from '../../common/secret.ts'
import { readSecureContext, tlsFileNames } from '../net/tls-context.ts'

export class UpstreamAccess {
  private readonly logins: Kept<readonly string[]>
  private readonly contexts: Kept<SecureContext>
  private readonly env: Readonly<Record<string, string | undefined>>

  constructor(files: FileWatch, env: Readonly<Record<string, string | undefined>>) {
    this.env = env
    this.logins = new Kept(files, 'user and password at the servers')
    this.contexts = new Kept(files, 'certificates for the servers')
  }

  /** The AUTH command, its words as latin1 text of their bytes. @throws ConfigError RM_SECRET_UNREADABLE */
  login(credentials: Credentials): readonly string[] {
    const references = [credentials.username, credentials.password].filter(
      (one) => one !== undefined,
    )
    const files = references.flatMap(({ file }) => file ?? [])
    // Secrets are text in the configuration and bytes on the wire.
    const bytes = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
    return this.logins.get(credentials, files, () => [
      'AUTH',
      ...references.map((reference) => bytes(readSecret(reference, this.env).reveal())),
    ])
  }

  /** @throws ConfigError RM_TLS_FILES */
  secureContext(tls: UpstreamTls): SecureContext {
    return this.contexts.get(tls, tlsFileNames(tls), () => readSecureContext(tls))
  }
}

/** The value of the last configuration that was asked for. */
class Kept<T> {
  private readonly watch: FileWatch
  private readonly what: string
  private present: { readonly key: string; readonly value: FileValue<T> } | undefined

  constructor(watch: FileWatch, what: string) {
    this.watch = watch
    this.what = what
  }

  get(configuration: unknown, files: readonly string[], read: () => T): T {
    const key = JSON.stringify(configuration)
    if (this.present?.key !== key) {
      const value = this.watch.value({ what: this.what, files, read })
      this.present?.value.close()
      this.present = { key, value }
    }
    return this.present.value.current()
  }
}
