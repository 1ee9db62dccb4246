/** The deciding core, the same in Kubernetes and on a laptop: see `controller.ts` and `plan/plan.ts`. */
export { Controller, type ControllerModules } from './controller.ts'
export { compileConfig } from './compile.ts'
export type * from './provider.ts'
