/**
 * The latest known version of each object by key, filled by a reflector. Listeners get keys, never objects,
 * so that they cannot act on what has been replaced since.
 */
import type { ReflectorSink } from './reflector.ts'
import { type KubeObject, objectKey } from './objects.ts'

export class ObjectStore<T extends KubeObject> implements ReflectorSink<T> {
  private readonly objects = new Map<string, T>()
  private readonly listeners = new Set<(key: string) => void>()
  private readonly keep: (object: T) => T

  /** `keep` makes what is kept of an object, e.g. without what nobody reads. */
  constructor(keep: (object: T) => T = (object) => object) {
    this.keep = keep
  }

  get(key: string): T | undefined {
    return this.objects.get(key)
  }

  values(): IterableIterator<T> {
    return this.objects.values()
  }

  keys(): string[] {
    return [...this.objects.keys()]
  }

  onChange(listener: (key: string) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  replaceAll(objects: readonly T[]): void {
    const gone = new Set(this.objects.keys())
    for (const object of objects) {
      gone.delete(objectKey(object))
      this.put(object)
    }
    for (const key of gone) {
      this.objects.delete(key)
      this.notify(key)
    }
  }

  /** Takes the object unless a newer version of it is known: a watch may lag behind our own writes. */
  put(object: T): void {
    const key = objectKey(object)
    const known = this.objects.get(key)
    if (known !== undefined && !isNewer(object, known)) return
    this.objects.set(key, this.keep(object))
    this.notify(key)
  }

  remove(object: T): void {
    const key = objectKey(object)
    const known = this.objects.get(key)
    // One of the same name may have been made since.
    if (known === undefined || known.metadata.uid !== object.metadata.uid) return
    this.objects.delete(key)
    this.notify(key)
  }

  private notify(key: string): void {
    for (const listener of this.listeners) listener(key)
  }
}

/**
 * Whether `next` was written after `known`. Resource versions of one kind are decimal numbers that grow,
 * which the API has promised since v1.35; where they are not, the later to arrive counts.
 */
function isNewer(next: KubeObject, known: KubeObject): boolean {
  if (next.metadata.uid !== known.metadata.uid) return true
  const [a, b] = [next.metadata.resourceVersion ?? '', known.metadata.resourceVersion ?? '']
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return a !== b
  return BigInt(a) > BigInt(b)
}
