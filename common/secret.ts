/** Secrets: read where the configuration says, never printed. */
import { readFileSync } from 'node:fs'
import { ConfigError } from './errors.ts'
import type { SecretRef } from './contract/proxy-config.ts'

/** A string that no logger, template or `JSON.stringify` shows. `reveal()` is the only way in. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]'
  }
}

/**
 * Reads a secret anew. `env` is the process's environment, handed in.
 * @throws ConfigError RM_SECRET_UNREADABLE naming the file or variable, not its content.
 */
export function readSecret(
  ref: SecretRef,
  env: Readonly<Record<string, string | undefined>>,
): Secret {
  if (ref.file !== undefined) return readSecretFile(ref.file)
  const value = env[ref.env ?? '']
  if (value === undefined) {
    throw new ConfigError(
      'RM_SECRET_UNREADABLE',
      `the secret’s environment variable ${ref.env} is not set`,
    )
  }
  return new Secret(value)
}

/** A file that is being written is empty for a moment, and no password is empty: it counts as unreadable. */
function readSecretFile(file: string): Secret {
  let value: string
  try {
    value = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw unreadable(`the secret’s file ${file} cannot be read`, cause)
  }
  if (value === '') throw unreadable(`the secret’s file ${file} is empty`)
  return new Secret(value)
}

function unreadable(what: string, cause?: unknown): ConfigError {
  return new ConfigError('RM_SECRET_UNREADABLE', what, { cause, retryable: true })
}
