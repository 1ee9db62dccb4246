/** What speaks against a configuration: gathered, so that all of it is told at once. */
import { ProxyError, codeOf, systemCodeOf } from '../../common/errors.ts'

export class Findings {
  readonly reasons: string[] = []
  /** What does not keep it from being used. */
  readonly remarks: string[] = []

  add(reason: string): void {
    if (!this.reasons.includes(reason)) this.reasons.push(reason)
  }

  remark(sentence: string): void {
    this.remarks.push(sentence)
  }

  /** Notes what `check` throws, after `what`. */
  async try(what: string, check: () => unknown): Promise<void> {
    try {
      await check()
    } catch (error) {
      if (codeOf(error) === undefined && systemCodeOf(error) === undefined) throw error
      this.add(`${what}: ${reasonOf(error)}`)
    }
  }
}

/** An error with its causes and its code, in one line. */
export function reasonOf(error: unknown): string {
  const sentences: string[] = []
  let current: unknown = error
  for (let depth = 0; depth < 4 && current instanceof Error; depth += 1) {
    const { message } = current
    if (message !== '' && !sentences.some((known) => known.includes(message))) {
      sentences.push(message)
    }
    current = current.cause
  }
  const code = codeOf(error)
  return `${sentences.join(': ')}${code === undefined ? '' : ` [${code}]`}`
}

/** All reasons that an error has: those that a switch was refused for, each wrong field, or the one that it tells. */
export function reasonsOf(error: unknown): readonly string[] {
  const { reasons, issues } = error instanceof ProxyError ? error.data : {}
  if (Array.isArray(reasons)) return reasons.map(String)
  if (!Array.isArray(issues)) return [reasonOf(error)]
  return issues.map((issue: { readonly path: string; readonly message: string }) => {
    return `${issue.path}: ${issue.message} [${codeOf(error)}]`
  })
}
