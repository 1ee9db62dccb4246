/** kubectl and helm, bound to one cluster. */
import { join } from 'node:path'
import { run } from './command.ts'
import type { CallOptions, Cluster } from './types.ts'

export function clientsOf(options: {
  readonly kubeconfigPath: string
  readonly kubectlPath: string
  readonly helmPath: string
  /** Folder for what the clients keep, so that nothing of the user's own is read or written. */
  readonly homePath: string
}): Pick<Cluster, 'kubeconfigPath' | 'kubectlPath' | 'helmPath' | 'kubectl' | 'helm'> {
  const { kubeconfigPath, kubectlPath, helmPath, homePath } = options
  const env = {
    KUBECONFIG: kubeconfigPath,
    KUBECACHEDIR: join(homePath, 'kube'),
    KUBECTL_KUBERC: 'false',
    HELM_CACHE_HOME: join(homePath, 'helm', 'cache'),
    HELM_CONFIG_HOME: join(homePath, 'helm', 'config'),
    HELM_DATA_HOME: join(homePath, 'helm', 'data'),
  }
  const call = (program: string) => (args: readonly string[], callOptions?: CallOptions) =>
    run(program, args, { env, ...callOptions })
  return {
    kubeconfigPath,
    kubectlPath,
    helmPath,
    kubectl: call(kubectlPath),
    helm: call(helmPath),
  }
}
