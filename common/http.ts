/**
 * Node’s `http` and `https` for the sidecar. An ES import of `node:http` reads every export for its facade, the
 * lazy ones too, and so loads a whole fetch implementation: 15 MB of resident memory in every pod, measured with
 * Node 26. Asked for as modules they come without it. `https` is loaded with the first call, as it brings TLS.
 */
export const http = process.getBuiltinModule('node:http')

export function loadHttps() {
  return process.getBuiltinModule('node:https')
}
