/** A client that asks for its own name again and again and must never be told another. */
import { command, open, type Wire } from '../wire.ts'
import { within } from '../run-row.ts'

export class AlignedClient {
  /** Answers that were neither right nor an error. */
  readonly foreign: string[] = []
  private readonly port: number
  private readonly id: string
  private wire: Wire | undefined
  private seen = 0
  private round = 0

  constructor(port: number, id: string) {
    this.port = port
    this.id = id
  }

  /** Whether it was answered rightly; an error and an end of the connection are no answer. */
  async ask(deadlineMs: number): Promise<boolean> {
    if (this.wire === undefined || this.wire.isClosed) {
      this.wire = await open(this.port)
      this.seen = 0
    }
    const { wire } = this
    this.round += 1
    const text = `${this.id}:${this.round}`
    const right = `$${text.length}\r\n${text}\r\n`
    wire.send(command('ECHO', text))
    const start = this.seen
    const isHere = () => wire.isClosed || wire.received.toString('latin1', start).endsWith('\r\n')
    await within(deadlineMs, isHere)
    const came = wire.received.toString('latin1', start)
    this.seen = wire.byteCount
    if (came === right) return true
    const isError = /^-[^\r\n]*\r\n$/.test(came)
    if (came !== '' && !isError)
      this.foreign.push(`${this.id} got ${JSON.stringify(came.slice(0, 200))}`)
    wire.socket.destroy()
    return false
  }

  /** Asks until it is answered. */
  async recover(deadlineMs: number): Promise<boolean> {
    const deadline = performance.now() + deadlineMs
    while (performance.now() < deadline) {
      if (await this.ask(2000).catch(() => false)) return true
    }
    return false
  }

  stop(): void {
    this.wire?.socket.destroy()
  }
}
