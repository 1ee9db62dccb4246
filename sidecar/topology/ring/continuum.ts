/**
 * The ring: points of servers on a circle of 32 bits, as ketama has them (libmemcached, twemproxy), so that keys stay
 * where those put them. Pure.
 *
 * A server has 160 points, more or fewer by its weight: 4 of each of 40 digests of its name and a number. A key belongs
 * to the first point that is not before it. A server that is taken out leaves the points of all others where they are.
 */
import { ketamaDigestsPerServer } from '../../../common/limits.ts'
import { md5Of } from './key-hash.ts'

export interface RingServer {
  readonly name: string
  readonly weight: number
}

const pointsPerDigest = 4
/** Its name alone is hashed for this port, as libmemcached did. */
const unnamedPort = 11_211

/** What is hashed of a server that has no name of its own. */
export function ringName({ host, port }: { readonly host: string; readonly port: number }): string {
  return port === unnamedPort || port === 0 ? host : `${host}:${port}`
}

export class Continuum {
  private readonly points: Uint32Array
  /** Whose point it is. */
  private readonly owners: Uint16Array

  constructor(points: Uint32Array, owners: Uint16Array) {
    this.points = points
    this.owners = owners
  }

  /** Index of the server that has `hash`; -1 if there is none. Takes a few steps more for each doubling of servers. */
  ownerOf(hash: number): number {
    const { points, owners } = this
    let left = 0
    let right = points.length
    while (left < right) {
      const middle = (left + right) >>> 1
      if ((points[middle] as number) < hash) left = middle + 1
      else right = middle
    }
    return owners[left === points.length ? 0 : left] ?? -1
  }

  /** The ring without the servers for which `isIn` is false. */
  only(isIn: (index: number) => boolean): Continuum {
    const kept = this.owners.map((owner) => (isIn(owner) ? 1 : 0))
    const keep = (_value: number, at: number) => kept[at] === 1
    return new Continuum(this.points.filter(keep), this.owners.filter(keep))
  }

  /** The share of all hashes that each of `count` servers has. */
  shares(count: number): readonly number[] {
    const sums = Array.from({ length: count }, () => 0)
    const { points, owners } = this
    for (const [at, point] of points.entries()) {
      const before = at === 0 ? (points.at(-1) as number) - 2 ** 32 : (points[at - 1] as number)
      const owner = owners[at] as number
      // One point has all of the circle.
      sums[owner] = (sums[owner] as number) + (points.length === 1 ? 2 ** 32 : point - before)
    }
    return sums.map((sum) => sum / 2 ** 32)
  }
}

export function buildContinuum(servers: readonly RingServer[]): Continuum {
  const total = servers.reduce((sum, { weight }) => sum + weight, 0)
  const all = servers.flatMap(({ name, weight }, index) =>
    pointsOf(name, digestCount(weight, total, servers.length)).map((value) => ({ value, index })),
  )
  const sorted = all.toSorted((a, b) => a.value - b.value || a.index - b.index)
  return new Continuum(
    Uint32Array.from(sorted, ({ value }) => value),
    Uint16Array.from(sorted, ({ index }) => index),
  )
}

/** In single precision, as twemproxy reckons: another rounding would move keys. */
function digestCount(weight: number, total: number, servers: number): number {
  const share = Math.fround(Math.fround(weight) / Math.fround(total))
  const points = Math.fround(share * ketamaDigestsPerServer * pointsPerDigest)
  const digests = Math.fround(Math.fround(points / pointsPerDigest) * servers)
  return Math.floor(Math.fround(digests + 1e-10))
}

function pointsOf(name: string, digests: number): number[] {
  return Array.from({ length: digests }, (_, number) => {
    const digest = md5Of(`${name}-${number}`)
    return Array.from({ length: pointsPerDigest }, (_, at) => digest.readUInt32LE(4 * at))
  }).flat()
}
