/** Where the operator's certificates live: one Secret in its namespace, written with its resourceVersion. */
import { type PkiMaterial, decodeMaterial, encodeMaterial } from '../pki/material.ts'
import type { PkiStore } from '../pki/keeper.ts'
import { isApiStatus } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { secretsPath } from './names.ts'
import type { SecretObject } from './objects.ts'

export function createPkiSecret(
  options: { readonly namespace: string; readonly name: string },
  client: KubeClient,
): PkiStore {
  const { namespace, name } = options
  const path = secretsPath(namespace)

  const body = (material: PkiMaterial, resourceVersion: string | undefined) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/managed-by': 'respmesh' },
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    data: Object.fromEntries(
      Object.entries(encodeMaterial(material)).map(([key, text]) => [
        key,
        Buffer.from(text).toString('base64'),
      ]),
    ),
  })

  return {
    async read() {
      const secret = await client.find<SecretObject>({ method: 'GET', path: `${path}/${name}` })
      if (secret === undefined) return { material: undefined, version: undefined }
      // As it is: PEM ends with a line end.
      const data = Object.entries(secret.data ?? {}).map(([key, encoded]) => [
        key,
        Buffer.from(encoded, 'base64').toString('utf8'),
      ])
      return {
        material: decodeMaterial(Object.fromEntries(data) as Record<string, string>),
        version: secret.metadata.resourceVersion,
      }
    },
    async write(material, version) {
      try {
        await client.request(
          version === undefined
            ? { method: 'POST', path, body: body(material, undefined) }
            : { method: 'PUT', path: `${path}/${name}`, body: body(material, version) },
        )
        return true
      } catch (error) {
        // Someone else made, changed or removed it since it was read.
        if (isApiStatus(error, 409) || isApiStatus(error, 404)) return false
        throw error
      }
    },
  }
}
