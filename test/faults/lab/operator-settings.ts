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
  readonly dieAt?: string
  readonly logLevel?: 'info' | 'debug'
}

/** Where it kills itself: `before record`, `after record:Fencing`, `before promote`, `after replicate`, … */
export interface DeathPoint {
  readonly when: 'before' | 'after'
  readonly step: string
  /** Of a record. */
  readonly phase?: string
}

export function parsePoint(text: string): DeathPoint {
  const match = /^(before|after) (\w+)(?::(\w+))?$/.exec(text)
  const [, when, step, phase] = match ?? []
  if ((when !== 'before' && when !== 'after') || step === undefined) {
    throw new Error(`not a step to die at: ${text}`)
  }
  return { when, step, ...(phase !== undefined && { phase }) }
}
