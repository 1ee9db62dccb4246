/** What nodes of made-up clusters answer, for tests. */
import type { Reply } from '../../resp/decode.ts'
import { type Answer, readAnswer } from './answer.ts'
import type { SlotRange } from './node-list.ts'

export interface MadeNode {
  readonly number: number
  readonly epoch?: number
  readonly slots?: readonly SlotRange[]
  /** Number of its primary. */
  readonly follows?: number
  readonly flags?: string
  readonly port?: number
}

/** A node id that can be told from others. */
export function idOf(number: number): string {
  return number.toString(16).padStart(40, '0')
}

export function portOf(number: number): number {
  return 7000 + number
}

export function nodesText(self: number, nodes: readonly MadeNode[]): string {
  const lines = nodes.map(({ number, epoch = number, slots = [], follows, flags = '', port }) => {
    const role = follows === undefined ? 'master' : 'slave'
    const names = [number === self ? 'myself' : '', role, flags].filter((flag) => flag !== '')
    const place = `10.0.0.${number}:${port ?? portOf(number)}@17000`
    const primary = follows === undefined ? '-' : idOf(follows)
    const ranges = slots.map(([first, last]) => (first === last ? first : `${first}-${last}`))
    const fields = [idOf(number), place, names.join(','), primary, 0, 0, epoch, 'connected']
    return [...fields, ...ranges].join(' ')
  })
  return `${lines.join('\n')}\n`
}

export function text(value: string): Reply {
  return { kind: 'text', text: value }
}

/** What node `self` says, which was asked where it is unless told. */
export function answerOf(
  self: number,
  nodes: readonly MadeNode[],
  asked: { readonly host: string; readonly port?: number; readonly isSeed?: boolean } = {
    host: `10.0.0.${self}`,
  },
): Answer {
  const { host, port = portOf(self), isSeed = true } = asked
  const place = { asked: { host, port }, isSeed, hasTls: false }
  const answer = readAnswer(place, text(nodesText(self, nodes)), undefined)
  if (answer === undefined) throw new Error('a made-up answer is none')
  return answer
}
