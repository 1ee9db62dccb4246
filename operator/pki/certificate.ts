/** Makes certificates: an authority of our own, and serving certificates that it signs. P-256 throughout. */
// The polyfill must be there before the library is.
import 'reflect-metadata'
import { randomBytes, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export interface KeyedCertificate {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS #8. */
  readonly key: string
}

export interface Validity {
  readonly nowMs: number
  readonly lifetimeMs: number
}

/** Certificates are valid from a little before they are made, for clocks that are behind ours. */
export const backdateMs = 300_000

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export async function createAuthority(
  commonName: string,
  validity: Validity,
): Promise<KeyedCertificate> {
  const keys = await newKeys()
  const name = `CN=${commonName}, O=respmesh`
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: name,
    issuer: name,
    ...dates(validity),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return pem(cert, keys)
}

/** A certificate for servers under the DNS names, the first of which is its common name. */
export async function issueServing(
  authority: KeyedCertificate,
  dnsNames: readonly string[],
  validity: Validity,
): Promise<KeyedCertificate> {
  const keys = await newKeys()
  const signer = new x509.X509Certificate(authority.cert)
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    // The standard bounds a common name to 64 characters; the alternative names are what counts.
    subject: `CN=${(dnsNames[0] ?? 'respmesh').slice(0, 64)}`,
    issuer: signer.subjectName,
    ...dates(validity),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        dnsNames.map((value) => ({ type: 'dns' as const, value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  })
  return pem(cert, keys)
}

function dates({ nowMs, lifetimeMs }: Validity) {
  return { notBefore: new Date(nowMs - backdateMs), notAfter: new Date(nowMs + lifetimeMs) }
}

/** 127 random bits: positive, and never with a leading zero byte. */
function serial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function pem(
  cert: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
): Promise<KeyedCertificate> {
  const exported = await crypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    cert: `${cert.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(exported, 'PRIVATE KEY')}\n`,
  }
}

function importKey(text: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(text)
  return crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
}
