/** The list of generated files with their content; `test/fresh.test.ts` compares it with the tree. */
import { proxyConfigSchema } from '../../common/contract/schema.ts'
import { operationManifestSchema } from '../../operator/api/operation-schema.ts'
import { manifestSchema } from '../../operator/api/schema.ts'
import { commandsPage } from './commands-page.ts'
import { commandRoutesSource, commandTableSource, readCommandFile } from './commands.ts'
import { chartCrdYaml, chartOperationCrdYaml, crdYaml, operationCrdYaml } from './crd.ts'
import { valuesSchemaJson } from './values-schema.ts'
import { standaloneValidator, validatorTypes } from './validator.ts'

export interface GeneratedFile {
  /** From the root of the repository. */
  readonly path: string
  readonly content: string
}

export async function generatedFiles(): Promise<readonly GeneratedFile[]> {
  const commands = await readCommandFile()
  return [
    {
      path: 'common/redis/generated/command-rows.ts',
      content: commandTableSource(commands),
    },
    {
      path: 'common/redis/generated/command-route-rows.ts',
      content: commandRoutesSource(commands),
    },
    { path: 'docs/reference/commands.md', content: commandsPage(commands) },
    {
      path: 'common/contract/generated/validate-proxy-config.js',
      content: await standaloneValidator(proxyConfigSchema, 'validateProxyConfig', false),
    },
    {
      path: 'common/contract/generated/validate-proxy-config.d.ts',
      content: validatorTypes('validateProxyConfig', '../issues.ts'),
    },
    {
      path: 'common/contract/generated/proxy-config.schema.json',
      content: `${JSON.stringify(proxyConfigSchema, null, 2)}\n`,
    },
    {
      path: 'operator/api/generated/validate-redis-proxy.js',
      content: await standaloneValidator(manifestSchema, 'validateRedisProxy', true),
    },
    {
      path: 'operator/api/generated/validate-redis-proxy.d.ts',
      content: validatorTypes('validateRedisProxy', '../../../common/contract/issues.ts'),
    },
    {
      path: 'operator/api/generated/validate-redis-proxy-operation.js',
      content: await standaloneValidator(
        operationManifestSchema,
        'validateRedisProxyOperation',
        true,
      ),
    },
    {
      path: 'operator/api/generated/validate-redis-proxy-operation.d.ts',
      content: validatorTypes('validateRedisProxyOperation', '../../../common/contract/issues.ts'),
    },
    { path: 'crds/respmesh.io_redisproxies.yaml', content: crdYaml() },
    { path: 'crds/respmesh.io_redisproxyoperations.yaml', content: operationCrdYaml() },
    { path: 'charts/respmesh/templates/crd.yaml', content: chartCrdYaml() },
    { path: 'charts/respmesh/templates/crd-operations.yaml', content: chartOperationCrdYaml() },
    { path: 'charts/respmesh/values.schema.json', content: valuesSchemaJson() },
  ]
}
