import { encodeCommand } from '../resp/encode.ts'

/**
 * What is sent before a WAIT, so that it waits for all that the server has run by then. Servers from 7.2 on wait for the
 * last command of the connection that went to replicas, which is not what blocked and was served later, nor a write that
 * found everything as it wanted it, by another client’s doing that no replica has yet. This goes to replicas, changes
 * nothing, and nobody can be listening by a pattern.
 */
export const waitMark = encodeCommand(['SPUBLISH', 'respmesh', ''])
