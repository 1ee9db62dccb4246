/** The small types that the schemas of the contract share. */
import { Type } from 'typebox'

export const upstreamPort = (description: string) =>
  Type.Integer({ minimum: 0, maximum: 65535, description })
export const hostOrPath = (description: string) =>
  Type.String({ minLength: 1, maxLength: 253, pattern: '^(/.*|[A-Za-z0-9._:-]+)$', description })
export const host = (description: string) =>
  Type.String({ minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9._:-]+$', description })
export const millis = (description: string, minimum = 0, maximum = 3_600_000) =>
  Type.Integer({ minimum, maximum, description })
export const text = (description: string, maxLength = 256) =>
  Type.String({ minLength: 1, maxLength, description })
export const path = (description: string) =>
  Type.String({ minLength: 1, maxLength: 4096, description })
export const count = (description: string, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description })

export const closed = { additionalProperties: false }

/** A secret is never a value in the contract: it is where the sidecar reads it, again on every use. */
export const secretRef = Type.Object(
  {
    file: Type.Optional(path('file whose content, less one trailing newline, is the secret')),
    env: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$',
        description: 'environment variable that holds the secret',
      }),
    ),
  },
  { ...closed, minProperties: 1, maxProperties: 1, description: 'where a secret is read from' },
)

export const credentials = Type.Object(
  { username: Type.Optional(secretRef), password: secretRef },
  { ...closed, description: 'an ACL user, or the default user where no username is given' },
)
