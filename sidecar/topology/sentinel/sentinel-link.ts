/** The two connections to one Sentinel: one for questions, one that hears what it announces. Opened again when they failed. */
import { Link, type LinkOptions } from '../link.ts'
import { type SentinelSays, readAnswers, sentinelQuestions } from './sentinel-replies.ts'

/** What makes it worthwhile to ask at once. */
const channels = ['+switch-master', '+slave', '+reboot', '-sdown']

export interface SentinelLinkOptions extends LinkOptions {
  /** Name of the primary. */
  readonly name: string
  readonly onNews: () => void
}

export class SentinelLink {
  readonly options: SentinelLinkOptions
  /** Why it could not be asked; undefined when it could. */
  failure: string | undefined
  /** Who it said that it is. */
  id: string | undefined
  hasAnswered = false
  private asking: Link | undefined
  private hearing: Link | undefined
  /** A PING on the connection that hears, which is otherwise silent even when it is gone. */
  private isPongOwed = false
  private isClosed = false

  constructor(options: SentinelLinkOptions) {
    this.options = options
  }

  /** Never throws: undefined if it cannot be asked, or knows nothing of the primary. */
  async ask(): Promise<SentinelSays | undefined> {
    const { options } = this
    try {
      if (this.asking?.isOpen !== true) this.asking = await this.open()
      const replies = await this.asking.ask(sentinelQuestions(options.name), options.timeoutMs)
      const says = readAnswers(replies)
      this.failure = says === undefined ? `it knows no primary "${options.name}"` : undefined
      if (says !== undefined) this.hasAnswered = true
      this.id = says?.id ?? this.id
      this.hear()
      return says
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error)
      this.asking?.close()
      this.asking = undefined
      return undefined
    }
  }

  close(): void {
    this.isClosed = true
    this.asking?.close()
    this.hearing?.close()
  }

  private async open(): Promise<Link> {
    const link = await Link.open(this.options)
    if (this.isClosed) link.close()
    return link
  }

  /** Has it announce its news; looks whether it still does. */
  private hear(): void {
    if (this.hearing !== undefined) {
      if (this.isPongOwed) this.hearing.close()
      else {
        this.isPongOwed = true
        this.hearing.send(['PING'])
      }
      return
    }
    void this.subscribe()
  }

  private async subscribe(): Promise<void> {
    try {
      const link = await this.open()
      this.hearing = link
      this.isPongOwed = false
      const onMessage = (message: unknown) => {
        this.isPongOwed = false
        if (Array.isArray(message) && message[0] === 'message') this.options.onNews()
      }
      link.listen(onMessage, () => {
        if (this.hearing === link) this.hearing = undefined
      })
      link.send(['SUBSCRIBE', ...channels])
    } catch {
      // It is asked again soon, and this is tried then.
    }
  }
}
