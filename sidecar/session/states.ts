/** States of a session. */

/**
 * What keeps a session from going on: more bytes, room for more commands in flight, the replies that are owed, a
 * server that takes more, a primary, or something else that will call `resume`.
 */
export type Wait = 'none' | 'input' | 'window' | 'replies' | 'writable' | 'held' | 'outside'

/** What became of a transaction or a WATCH whose connection ended. */
export type BrokenState = 'none' | 'transaction' | 'watch' | 'transactionAfterWatch'
