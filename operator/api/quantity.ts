/** Quantities of Kubernetes, as far as memory and CPU of a sidecar are written in them. */

/** Less the forms with an exponent and those below a thousandth, which nobody writes here. */
export const quantityPattern = '^(0|[1-9][0-9]{0,15})(\\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$'

const form = new RegExp(quantityPattern)

export function isQuantity(text: string): boolean {
  return form.test(text)
}

const factors: Readonly<Record<string, number>> = {
  '': 1,
  m: 1 / 1000,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
}

/** `192Mi` → 201326592. The schema has checked the form. @throws RangeError on any other text */
export function quantityBytes(text: string): number {
  const match = /^([0-9.]+)([A-Za-z]*)$/.exec(text)
  const factor = factors[match?.[2] ?? '?']
  if (match === null || factor === undefined) throw new RangeError(`not a quantity: ${text}`)
  return Math.floor(Number(match[1]) * factor)
}
