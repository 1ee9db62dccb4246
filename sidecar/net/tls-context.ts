/** Certificates, keys and authorities: read from their files and checked, so that only usable ones come into use. */
import { X509Certificate, constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type * as tls from 'node:tls'
import { ConfigError } from '../../common/errors.ts'

export interface TlsFiles {
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly caFile?: string | undefined
}

export interface TlsMaterial {
  readonly minVersion: 'TLSv1.2'
  readonly secureOptions: number
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly ca?: Buffer
}

/** Loaded by those who need it: it costs 2.5 MB of memory. */
export function nodeTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}

export function tlsFileNames({ certFile, keyFile, caFile }: TlsFiles): string[] {
  return [certFile, keyFile, caFile].filter((file) => file !== undefined)
}

/** @throws ConfigError RM_TLS_FILES naming the file that cannot be used and why */
export function readTlsMaterial(files: TlsFiles): TlsMaterial {
  const { certFile, keyFile, caFile } = files
  const material: TlsMaterial = {
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(certFile !== undefined && { cert: readCertificates(certFile) }),
    ...(keyFile !== undefined && { key: readFile(keyFile) }),
    ...(caFile !== undefined && { ca: readCertificates(caFile) }),
  }
  createContext(material, files)
  return material
}

/** @throws ConfigError RM_TLS_FILES */
export function readSecureContext(files: TlsFiles): tls.SecureContext {
  return createContext(readTlsMaterial(files), files)
}

function createContext(material: TlsMaterial, files: TlsFiles): tls.SecureContext {
  try {
    return nodeTls().createSecureContext(material)
  } catch (cause) {
    const { certFile, keyFile } = files
    throw unusable(`${certFile} and ${keyFile} are no certificate with its key`, cause)
  }
}

function readCertificates(file: string): Buffer {
  const pem = readFile(file)
  const blocks =
    pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw unusable(`${file} holds no certificate in PEM form`)
  for (const block of blocks) {
    checkCertificate(file, block)
  }
  return pem
}

function checkCertificate(file: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block)
  } catch (cause) {
    throw unusable(`${file} holds a certificate that cannot be read`, cause)
  }
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw unusable(`${file} cannot be read`, cause)
  }
}

function unusable(what: string, cause?: unknown): ConfigError {
  return new ConfigError('RM_TLS_FILES', what, { cause, retryable: true })
}
