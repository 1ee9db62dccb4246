/** `respmesh verify FILE…`: checks manifests as the API server would, and says all that is wrong at once. */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ConfigError, codeOf } from '../common/errors.ts'
import { parseManifests } from '../operator/api/manifest.ts'

const help =
  'Usage: respmesh verify FILE…\n\nChecks RedisProxy manifests. Exit code 0: all are right.'

/** @returns 0 if every file is right, 1 if one is not, 2 for a wrong command line */
export async function verify(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  if (values.help === true) {
    console.log(help)
    return 0
  }
  if (positionals.length === 0) {
    throw new ConfigError('RM_USAGE', `name the files to check.\n${help}`)
  }
  let failed = 0
  for (const file of positionals) {
    try {
      const { proxies } = parseManifests(await read(file), file)
      const names = proxies.map((proxy) => proxy.metadata.name).join(', ')
      console.log(`${file}: ${proxies.length === 0 ? 'holds no RedisProxy' : `ok (${names})`}`)
    } catch (error) {
      if (codeOf(error) === undefined || !(error instanceof Error)) throw error
      failed += 1
      console.error(error.message)
    }
  }
  return failed === 0 ? 0 : 1
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new ConfigError('RM_CONFIG_UNREADABLE', `${file} cannot be read`, { cause })
  }
}
