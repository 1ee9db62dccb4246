/** Of a pod and an admission request, what the injector reads. */

export interface ContainerPort {
  readonly name?: string
  readonly containerPort: number
}

export interface Container {
  readonly name: string
  readonly ports?: readonly ContainerPort[]
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
}

export interface Pod {
  readonly metadata?: {
    readonly name?: string
    readonly generateName?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly ownerReferences?: readonly {
      readonly apiVersion: string
      readonly kind: string
      readonly name: string
      readonly uid: string
      readonly controller?: boolean
    }[]
  }
  readonly spec?: {
    readonly containers?: readonly Container[]
    readonly initContainers?: readonly Container[]
    readonly volumes?: readonly { readonly name: string }[]
    readonly hostNetwork?: boolean
    readonly os?: { readonly name?: string }
  }
}

/** One operation of RFC 6902; the injector only adds. */
export interface PatchOperation {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

/** `respmesh.io/x` → `respmesh.io~1x`, as a part of a JSON pointer. */
export function pointerPart(text: string): string {
  return text.replaceAll('~', '~0').replaceAll('/', '~1')
}
