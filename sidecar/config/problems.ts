import { ConfigError } from '../../common/errors.ts'
import { type Given, hint, redactUrls } from './settings.ts'

/** Gathers what is wrong, so that one error can say it all. */
export class Problems {
  private readonly lines: string[] = []

  add(given: Given, why: string): void {
    this.lines.push(`${given.origin} is "${redactUrls(given.value)}": ${why}`)
  }

  note(sentence: string): void {
    this.lines.push(sentence)
  }

  /** @throws ConfigError RM_USAGE if anything was added */
  throwIfAny(): void {
    if (this.lines.length === 0) return
    throw new ConfigError('RM_USAGE', [...this.lines, hint].join('\n'), {
      data: { problems: this.lines },
    })
  }
}
