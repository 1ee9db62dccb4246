/** The status page of local mode. */
export { type Console, startConsole } from './server.ts'
export type { ConsoleEvent, ConsoleSource, ConsoleState } from './state.ts'
