/**
 * What the primary had written when. By it a replica’s offset becomes a time: it has everything that the primary had
 * written at that time, so everything that any client was told before.
 *
 * A time is taken before the primary is asked, and a reply to a write is seen after the primary ran it: who was told
 * of a write until then finds it in the offset that is answered.
 */
import { primarySamplesMax } from '../../../common/limits.ts'

interface Sample {
  /** Monotonic, before the question. */
  readonly atMs: number
  readonly offset: number
}

export class PrimaryHistory {
  private lineage = ''
  /** Times and offsets both rise. */
  private samples: Sample[] = []

  /** The last offset that was heard, in `lineage`. */
  get last(): { readonly lineage: string; readonly offset: number } | undefined {
    const sample = this.samples.at(-1)
    return sample && { lineage: this.lineage, offset: sample.offset }
  }

  /** Remembers an answer. Questions are asked one after the other. Another history of writes begins anew. */
  note(atMs: number, lineage: string, offset: number): void {
    const last = this.samples.at(-1)
    const isSame = lineage === this.lineage && (last === undefined || offset >= last.offset)
    if (!isSame) this.samples = []
    this.lineage = lineage
    // Nothing was written since: who has it is as fresh as this answer.
    if (isSame && last?.offset === offset) this.samples.pop()
    this.samples.push({ atMs, offset })
    if (this.samples.length > primarySamplesMax) this.samples = thinned(this.samples)
  }

  forget(): void {
    this.lineage = ''
    this.samples = []
  }

  /** The latest time of which a server with this offset surely has everything; negative infinity: unknown. */
  freshAsOfMs(lineage: string, offset: number): number {
    if (lineage !== this.lineage) return Number.NEGATIVE_INFINITY
    const sample = this.samples.findLast((one) => one.offset <= offset)
    return sample?.atMs ?? Number.NEGATIVE_INFINITY
  }
}

/** Keeps every other one of the older half: a replica that is far behind is judged more coarsely. */
function thinned(samples: readonly Sample[]): Sample[] {
  const half = samples.length / 2
  return samples.filter((_sample, index) => index >= half || index % 2 === 0)
}
