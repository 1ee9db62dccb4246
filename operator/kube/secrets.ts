/** Secrets of users, read one by one when they are needed: the operator may get them, not list them. */
import type { SecretReader } from '../controller/provider.ts'
import type { KubeClient } from './client.ts'
import { secretsPath } from './names.ts'
import type { SecretObject } from './objects.ts'

export function createSecretReader(client: KubeClient): SecretReader {
  return {
    async readSecret(namespace, name) {
      const path = `${secretsPath(namespace)}/${name}`
      const secret = await client.find<SecretObject>({ method: 'GET', path })
      return secret && decodeSecret(secret)
    },
  }
}

/** Values as text; a trailing line end, which `kubectl create --from-file` brings, is cut. */
export function decodeSecret(secret: SecretObject): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, encoded]) => [
      key,
      Buffer.from(encoded, 'base64')
        .toString('utf8')
        .replace(/\r?\n$/, ''),
    ]),
  )
}
