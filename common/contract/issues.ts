/** Turns the errors of a generated validator into sentences that name the field, the value and the remedy. */

/** One thing that is wrong with a value: where (`spec.backend.endpoints[0].port`) and what to do. */
export interface ValidationIssue {
  readonly path: string
  readonly message: string
}

/** The part of Ajv's error object that we read. */
export interface ValidatorError {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string
  readonly data?: unknown
}

const shownValueLengthMax = 60

/** All issues, in the order of the document, each path once per message. */
export function describeIssues(errors: readonly ValidatorError[]): ValidationIssue[] {
  const issues = errors.filter((error) => error.keyword !== 'if').map(describe)
  const seen = new Set<string>()
  return issues.filter((issue) => {
    const key = `${issue.path}\n${issue.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** `/spec/backend/endpoints/0/port` → `spec.backend.endpoints[0].port`. */
export function fieldPath(pointer: string): string {
  const parts = pointer.split('/').slice(1).map(unescapePointer)
  return parts.reduce((path, part) => {
    if (/^\d+$/.test(part)) return `${path}[${part}]`
    return path === '' ? part : `${path}.${part}`
  }, '')
}

function describe(error: ValidatorError): ValidationIssue {
  const path = fieldPath(error.instancePath)
  const { params } = error
  switch (error.keyword) {
    case 'required':
      return { path: join(path, params['missingProperty']), message: 'is required, and missing' }
    case 'additionalProperties':
      return {
        path: join(path, params['additionalProperty']),
        message: 'is not a known field; check its spelling and its place',
      }
    case 'enum':
      return withValue(path, error, `must be one of ${list(params['allowedValues'])}`)
    case 'const':
      return withValue(path, error, `must be ${JSON.stringify(params['allowedValue'])}`)
    case 'type':
      return withValue(path, error, `must be of type ${String(params['type'])}`)
    default:
      return withValue(path, error, error.message ?? `violates ${error.keyword}`)
  }
}

function withValue(path: string, error: ValidatorError, message: string): ValidationIssue {
  const shown = JSON.stringify(error.data) ?? 'undefined'
  const value =
    shown.length > shownValueLengthMax ? `${shown.slice(0, shownValueLengthMax)}…` : shown
  return { path: path === '' ? '(document)' : path, message: `${message} (it is ${value})` }
}

function join(path: string, property: unknown): string {
  return path === '' ? String(property) : `${path}.${String(property)}`
}

function list(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : ''
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}
