/** Quantities of Kubernetes, as far as memory and CPU of a sidecar are written in them. */

/** Less the forms with an exponent and those below a thousandth, which nobody writes here. */
export const quantityPattern = '^(0|[1-9][0-9]{0,15})(\\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$'

const form = new RegExp(quantityPattern)

export function isQuantity(text: string): boolean {
  return form.test(text)
}
