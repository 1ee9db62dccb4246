/** Reads what the suite prints while it runs. Pure. */
import { stripVTControlCharacters } from 'node:util'

export type SuiteEvent =
  | { readonly kind: 'started'; readonly test: string }
  | { readonly kind: 'passed'; readonly test: string }
  /** `test` is absent when it happened between tests and cost the rest of a block. */
  | { readonly kind: 'failed'; readonly test?: string; readonly detail: string }
  | { readonly kind: 'ignored'; readonly text: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'crashed'; readonly detail: string }

const tagged = /^\[(?:\d+\/\d+ )?(\w+)\]: (.*)$/
const detailLinesMax = 6

export class OutputReader {
  private rest = ''
  private readonly events: (event: SuiteEvent) => void
  private failure: { readonly isCrash: boolean; readonly lines: string[] } | undefined

  constructor(events: (event: SuiteEvent) => void) {
    this.events = events
  }

  write(chunk: string): void {
    const lines = (this.rest + chunk).split('\n')
    this.rest = lines.pop() ?? ''
    for (const line of lines) this.readLine(line)
  }

  end(): void {
    if (this.rest !== '') this.readLine(this.rest)
    this.rest = ''
    this.endFailure()
  }

  private readLine(line: string): void {
    const [, tag, text = ''] = tagged.exec(stripVTControlCharacters(line)) ?? []
    if (tag === undefined) {
      this.failure?.lines.push(line)
      return
    }
    this.endFailure()
    if (tag === 'err' || tag === 'exception') {
      this.failure = { isCrash: tag === 'exception', lines: [text] }
    } else if (tag === 'testing') this.events({ kind: 'started', test: text })
    else if (tag === 'ok') this.events({ kind: 'passed', test: text.replace(/ \(\d+ ms\)$/, '') })
    else if (tag === 'ignore') this.events({ kind: 'ignored', text })
    else if (tag === 'done') this.events({ kind: 'done' })
  }

  private endFailure(): void {
    const { failure } = this
    if (failure === undefined) return
    this.failure = undefined
    const [first = '', ...more] = failure.lines
    const [, test] = / in tests\/\S+\.tcl$/.test(first)
      ? (/^(.*) in tests\//.exec(first) ?? [])
      : []
    const told = (test === undefined ? failure.lines : more).filter((line) => line.trim() !== '')
    const detail = told.slice(0, detailLinesMax).join('\n')
    if (failure.isCrash) this.events({ kind: 'crashed', detail })
    else this.events({ kind: 'failed', detail, ...(test !== undefined && { test }) })
  }
}
