/** respmesh on one machine, without Kubernetes: see `world.ts`. */
export { findServerProgram } from './server-program.ts'
export { freePort, isFree } from './ports.ts'
export { type LocalWorld, type WorldOptions, startWorld } from './world.ts'
