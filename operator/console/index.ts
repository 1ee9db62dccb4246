/** The status page of local mode. */
export { type Console, startConsole } from './server.ts'
export type {
  AskedOperation,
  ConsoleEvent,
  ConsoleOperation,
  ConsoleSource,
  ConsoleState,
} from './state.ts'
