/** respmesh on one machine, without Kubernetes: see `world.ts`. */
export { findServerProgram } from './server-program.ts'
export { freePort, isFree } from './ports.ts'
export { type LocalWorld, type WorldOptions, startWorld } from './world.ts'
export { EventLog, consoleSource } from './view.ts'
export { type Console, type ConsoleEvent, startConsole } from '../console/index.ts'
export { type DemoResult, playDemo } from './demo.ts'
