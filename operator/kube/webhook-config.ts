/**
 * Tells the API server whom to trust as the injector: fills `caBundle` of the MutatingWebhookConfiguration that
 * the chart made, by server-side apply of just that field.
 */
import { ProxyError } from '../../common/errors.ts'
import type { KubeClient } from './client.ts'
import { webhookConfigurationPath } from './names.ts'
import type { KubeObject } from './objects.ts'

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string
    readonly clientConfig?: { readonly caBundle?: string }
  }[]
}

/**
 * Makes it so for every webhook of the configuration, and says whether anything had to be changed.
 * @throws ProxyError RM_WEBHOOK if there is no such configuration; RM_API otherwise
 */
export async function announceAuthority(
  name: string,
  bundle: string,
  client: KubeClient,
): Promise<boolean> {
  const path = webhookConfigurationPath(name)
  const found = await client.find<WebhookConfiguration>({ method: 'GET', path })
  if (found === undefined) {
    throw new ProxyError('RM_WEBHOOK', `there is no MutatingWebhookConfiguration ${name}`)
  }
  const caBundle = Buffer.from(bundle).toString('base64')
  const webhooks = found.webhooks ?? []
  if (webhooks.every(({ clientConfig }) => clientConfig?.caBundle === caBundle)) return false
  await client.apply(path, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: webhooks.map((webhook) => ({ name: webhook.name, clientConfig: { caBundle } })),
  })
  return true
}
