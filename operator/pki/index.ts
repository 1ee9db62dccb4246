/** The operator's own certificates. */
export { PkiKeeper } from './keeper.ts'
export { type PkiMaterial, bundleOf } from './material.ts'
