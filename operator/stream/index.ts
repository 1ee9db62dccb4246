/** The configuration stream, served: see `server.ts`. */
export {
  type Authentication,
  type ListenOptions,
  type Listening,
  type StreamLimits,
  type StreamServer,
  type StreamServerOptions,
  createStreamServer,
} from './server.ts'
export { createToken, sharedTokenAuthentication } from './token.ts'
