/** What a lab tells its operator process. */

export interface OperatorSettings {
  readonly directory: string
  readonly host: string
  readonly port: number
  readonly certFile: string
  readonly keyFile: string
  readonly token: string
  /** Ids of the sidecars that exist. */
  readonly sidecars: readonly string[]
  /** Whether it is told that a process was killed, as Kubernetes tells of containers. */
  readonly knowsFates: boolean
  /** Present where several operators run: they elect one by a lease. */
  readonly identity?: string
  readonly dieAt?: string
  readonly logLevel?: 'info' | 'debug'
}

/** What it does to itself when it next comes to a step; `{}`: nothing any more. */
export interface OperatorOrder {
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
  readonly at?: string
}

/** A step: `before record`, `after record:Fencing`, `before promote`, `after replicate`, … */
export interface Point {
  readonly when: 'before' | 'after'
  readonly step: string
  /** Of a record. */
  readonly phase?: string
}

export function parsePoint(text: string): Point {
  const match = /^(before|after) (\w+)(?::(\w+))?$/.exec(text)
  const [, when, step, phase] = match ?? []
  if ((when !== 'before' && when !== 'after') || step === undefined) {
    throw new Error(`not a step: ${text}`)
  }
  return { when, step, ...(phase !== undefined && { phase }) }
}
