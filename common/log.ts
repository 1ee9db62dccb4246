/**
 * Logging: pino behind a door, so that modules depend on these five methods and tests can collect lines.
 * Messages are constant sentences, data goes into fields; never a key’s value, never a credential.
 */
import pino from 'pino'

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

export interface Log {
  error(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  debug(fields: Readonly<Record<string, unknown>>, message: string): void
  /** A log whose every line also has these fields. */
  child(fields: Readonly<Record<string, unknown>>): Log
  setLevel(level: LogLevel): void
}

export interface LogOptions {
  readonly level: LogLevel
  readonly part: 'sidecar' | 'operator' | 'cli'
  /** Where lines go; standard error unless told, so that standard output stays for results. */
  readonly write?: (line: string) => void
}

/** JSON lines, one object each, with `time` in ISO 8601. Synchronous: a crash loses no line. */
export function createLog(options: LogOptions): Log {
  const destination = options.write
    ? { write: options.write }
    : pino.destination({ dest: 2, sync: true })
  const logger = pino(
    {
      level: options.level,
      base: { part: options.part },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
    },
    destination,
  )
  return wrap(logger)
}

/** A log that keeps nothing. */
export const silentLog: Log = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  child: () => silentLog,
  setLevel() {},
}

function wrap(logger: pino.Logger): Log {
  return {
    error: (fields, message) => logger.error(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    info: (fields, message) => logger.info(fields, message),
    debug: (fields, message) => logger.debug(fields, message),
    child: (fields) => wrap(logger.child(fields)),
    setLevel: (level) => {
      logger.level = level
    },
  }
}

const causesShownMax = 4

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error)
  const chain: Record<string, unknown>[] = []
  let current: unknown = error
  while (current instanceof Error && chain.length < causesShownMax) {
    chain.push({
      message: current.message,
      ...('code' in current && { code: current.code }),
      ...(chain.length === 0 && current.stack !== undefined && { stack: current.stack }),
    })
    current = current.cause
  }
  const [head, ...causes] = chain
  return causes.length === 0 ? head : { ...head, causes }
}
