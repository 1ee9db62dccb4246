/**
 * The operator's certificates as one value, and what is due with them at a time. An authority is replaced in
 * two steps, so that nobody who trusts only one of the two is ever shown a certificate of the other:
 * *announced* (in the bundle, signs nothing yet), and, `authorityOverlapMs` later, *signing*, with the former
 * one in the bundle until it expires.
 */
import { X509Certificate } from 'node:crypto'
import { assertNever } from '../../common/errors.ts'
import { type KeyedCertificate, backdateMs, createAuthority, issueServing } from './certificate.ts'

export interface PkiMaterial {
  readonly signer: KeyedCertificate
  /** The next signer, announced. */
  readonly next?: KeyedCertificate
  /** Former signers that are still trusted, PEM. */
  readonly retired: readonly string[]
  readonly serving: KeyedCertificate
}

const dayMs = 86_400_000
export const authorityLifetimeMs = 365 * dayMs
export const servingLifetimeMs = 30 * dayMs
/** From an authority's announcement to its first signature: readers of the bundle follow within minutes. */
export const authorityOverlapMs = 3_600_000
/** The part of a certificate's life that may be left before it is replaced. */
const renewalPart = 1 / 3

/** PEM of every authority to trust, the signing one first. */
export function bundleOf(material: PkiMaterial): string {
  const { signer, next, retired } = material
  return [signer.cert, ...(next ? [next.cert] : []), ...retired].join('')
}

export type Due = 'everything' | 'announce' | 'promote' | 'serving' | 'forget'

/** The next step that is due, or undefined. Steps follow one another until none is. */
export function whatIsDue(
  material: PkiMaterial | undefined,
  dnsNames: readonly string[],
  nowMs: number,
): Due | undefined {
  if (material === undefined || !isUsable(material, nowMs)) return 'everything'
  const { signer, next, retired, serving } = material
  if (next === undefined) {
    if (isNearEnd(signer.cert, nowMs)) return 'announce'
  } else if (nowMs - startOf(next.cert) >= authorityOverlapMs) {
    return 'promote'
  }
  const isOurs = new X509Certificate(serving.cert).checkIssued(new X509Certificate(signer.cert))
  const namesDiffer = !hasNames(serving.cert, dnsNames)
  if (!isOurs || namesDiffer || isNearEnd(serving.cert, nowMs)) return 'serving'
  if (retired.some((cert) => endOf(cert) <= nowMs)) return 'forget'
  return undefined
}

/** The material after one step. */
export async function perform(
  due: Due,
  material: PkiMaterial | undefined,
  dnsNames: readonly string[],
  nowMs: number,
): Promise<PkiMaterial> {
  const authority = () =>
    createAuthority('respmesh operator', { nowMs, lifetimeMs: authorityLifetimeMs })
  const servingBy = (signer: KeyedCertificate) =>
    issueServing(signer, dnsNames, { nowMs, lifetimeMs: servingLifetimeMs })
  if (due === 'everything' || material === undefined) {
    const signer = await authority()
    return { signer, retired: [], serving: await servingBy(signer) }
  }
  const { signer, next, retired, serving } = material
  switch (due) {
    case 'announce':
      return { ...material, next: await authority() }
    case 'promote':
      if (next === undefined) return material
      return {
        signer: next,
        retired: [signer.cert, ...retired],
        serving: await servingBy(next),
      }
    case 'serving':
      return { ...material, serving: await servingBy(signer) }
    case 'forget':
      return {
        signer,
        ...(next && { next }),
        retired: retired.filter((cert) => endOf(cert) > nowMs),
        serving,
      }
    default:
      return assertNever(due)
  }
}

/** When a certificate ends, milliseconds since 1970. */
export function endOf(cert: string): number {
  return Date.parse(new X509Certificate(cert).validTo)
}

/** When it was made. */
function startOf(cert: string): number {
  return Date.parse(new X509Certificate(cert).validFrom) + backdateMs
}

function isNearEnd(cert: string, nowMs: number): boolean {
  const end = endOf(cert)
  return end - nowMs <= (end - startOf(cert)) * renewalPart
}

/** Whether a certificate can still be issued and shown with it. */
function isUsable(material: PkiMaterial, nowMs: number): boolean {
  try {
    const signer = new X509Certificate(material.signer.cert)
    const serving = new X509Certificate(material.serving.cert)
    if (material.next !== undefined) startOf(material.next.cert)
    material.retired.forEach(endOf)
    return signer.ca && !serving.ca && endOf(material.signer.cert) > nowMs
  } catch {
    // Someone wrote something else into the Secret.
    return false
  }
}

function hasNames(cert: string, dnsNames: readonly string[]): boolean {
  const said = new X509Certificate(cert).subjectAltName ?? ''
  const found = said.split(', ').map((name) => name.replace(/^DNS:/, ''))
  return dnsNames.length === found.length && dnsNames.every((name) => found.includes(name))
}

/** What a Secret holds. `ca.crt` is for readers; the rest is what it is made of. */
export function encodeMaterial(material: PkiMaterial): Record<string, string> {
  const { signer, next, retired, serving } = material
  return {
    'ca.crt': bundleOf(material),
    'tls.crt': serving.cert,
    'tls.key': serving.key,
    'signer.crt': signer.cert,
    'signer.key': signer.key,
    ...(next && { 'next.crt': next.cert, 'next.key': next.key }),
    ...(retired.length > 0 && { 'retired.crt': retired.join('') }),
  }
}

/** Undefined if something is missing; whether it is usable is for `whatIsDue` to say. */
export function decodeMaterial(data: Readonly<Record<string, string>>): PkiMaterial | undefined {
  const pair = (name: string): KeyedCertificate | undefined => {
    const cert = data[`${name}.crt`]
    const key = data[`${name}.key`]
    return cert !== undefined && key !== undefined ? { cert, key } : undefined
  }
  const signer = pair('signer')
  const serving = pair('tls')
  const next = pair('next')
  if (signer === undefined || serving === undefined) return undefined
  return { signer, ...(next && { next }), retired: splitPem(data['retired.crt'] ?? ''), serving }
}

function splitPem(text: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  return (found ?? []).map((cert) => `${cert}\n`)
}
