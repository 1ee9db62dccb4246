/** Parts that start in order and stop in reverse, each stop given its chance even if another fails. */

export interface Stoppable {
  stop(): Promise<void>
}

/** Collects what was started and stops it in reverse; a second call waits for the first. */
export class StopStack implements Stoppable {
  private readonly parts: { readonly name: string; readonly part: Stoppable }[] = []
  private stopping: Promise<void> | undefined

  /** Registers a started part and returns it. */
  add<T extends Stoppable>(name: string, part: T): T {
    this.parts.push({ name, part })
    return part
  }

  /** @throws AggregateError of every stop that failed, after all were tried. */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll()
    return this.stopping
  }

  private async stopAll(): Promise<void> {
    const errors: unknown[] = []
    for (const { name, part } of this.parts.toReversed()) {
      try {
        await part.stop()
      } catch (cause) {
        errors.push(new Error(`${name} did not stop cleanly`, { cause }))
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'some parts did not stop cleanly')
  }
}
