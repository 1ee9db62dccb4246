/** The small vocabulary that the schema of `RedisProxy` is written in. */
import { Type } from 'typebox'

export const closed = { additionalProperties: false }

export const oneOf = <const V extends string>(
  values: readonly V[],
  description: string,
  initial?: V,
) =>
  Type.Unsafe<V>({
    type: 'string',
    enum: [...values],
    description,
    ...(initial !== undefined && { default: initial }),
  })

export const duration = (description: string, initial: string) =>
  Type.String({
    pattern: '^(0|[1-9][0-9]{0,8})(ms|s|m|h)$',
    maxLength: 12,
    default: initial,
    description: `${description}; e.g. 500ms, 3s, 2m`,
  })

export const dnsName = (description: string, maxLength = 253) =>
  Type.String({ minLength: 1, maxLength, description })

export const port = (description: string, extra: object = {}) =>
  Type.Integer({ minimum: 1, maximum: 65535, description, ...extra })

export const secretName = (description: string) =>
  Type.Object(
    { name: Type.String({ minLength: 1, maxLength: 253, description: 'name of the Secret' }) },
    { ...closed, description },
  )

/** RFC 3339. */
export const time = (description: string) => Type.String({ description, maxLength: 40 })
