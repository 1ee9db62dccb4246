/** Certificates for tests, made by `openssl`: an authority, and what it signs. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export interface Pair {
  readonly certFile: string
  readonly keyFile: string
}

export interface Authority {
  readonly directory: string
  readonly caFile: string
  /** A certificate for this common name, which is its DNS name too, besides localhost and 127.0.0.1. */
  issue(name: string): Pair
}

export function createAuthority(t: TestContext, name = 'Test authority'): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-pki-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const at = (file: string) => join(directory, file)
  const [caFile, caKey] = [at('ca.pem'), at('ca.key')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...key, '-subj', `/CN=${name}`, '-keyout', caKey, '-out', caFile)
  const issue = (common: string): Pair => {
    const [certFile, keyFile, request] = [at(`${common}.pem`), at(`${common}.key`), at('request')]
    const names = `subjectAltName=DNS:${common},DNS:localhost,IP:127.0.0.1`
    const subject = ['-subj', `/CN=${common}`, '-addext', names]
    openssl('req', '-new', ...key, ...subject, '-keyout', keyFile, '-out', request)
    const signer = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-copy_extensions', 'copy']
    openssl('x509', '-req', '-in', request, ...signer, '-days', '2', '-out', certFile)
    return { certFile, keyFile }
  }
  return { directory, caFile, issue }
}

/** What a TLS client of Node takes. */
export function clientFiles(caFile: string, pair?: Pair) {
  return {
    ca: readFileSync(caFile),
    ...(pair && { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }),
  }
}

/** Puts `from` in the place of `to`, in one step. */
export function replaceFile(from: string, to: string): void {
  copyFileSync(from, `${to}.new`)
  renameSync(`${to}.new`, to)
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' })
}
