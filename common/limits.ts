/**
 * Every bound of respmesh that is not a field of a configuration, and the defaults of those that are.
 * Each names its unit and what happens when it is reached.
 */

/** Defaults of `ProxyConfig.limits`; see the schema for what happens at each. */
export const defaultLimits = {
  clientsMax: 10_000,
  argumentBytesMax: 512 * 1024 * 1024,
  clientInFlightBytesMax: 1024 * 1024,
  upstreamQueueBytesMax: 16 * 1024 * 1024,
  clientOutputBytesMax: 1024 * 1024,
} as const

/** Defaults of `ProxyConfig.timing`, milliseconds. */
export const defaultTiming = {
  connectTimeoutMs: 1000,
  holdTimeoutMs: 5000,
  replyTimeoutMs: 0,
  drainTimeoutMs: 10_000,
} as const

/** Longest line of the configuration stream; a longer one ends the connection. */
export const streamLineBytesMax = 1024 * 1024
/** Each side of the stream says something at least this often. */
export const streamPingMs = 2000
/** A side of the stream that was silent this long is taken for gone; the sidecar connects again. */
export const streamSilenceMaxMs = 7000
/** Wait before a stream is opened again: doubles from the first to the last, with jitter. */
export const streamRetryMinMs = 100
export const streamRetryMaxMs = 2000
/** Sidecars that one control plane serves at once; the next gets 503 and tries again. */
export const streamClientsMax = 10_000
/** Bytes of unsent configuration per sidecar; one that reads slower is cut off and starts anew. */
export const streamBacklogBytesMax = 4 * 1024 * 1024
/** Sidecars of a stream server whose token is being checked at once; the next gets 503 and tries again. */
export const streamPendingMax = 256
/** Longest id that a sidecar may give itself; a longer one ends the connection. */
export const streamIdLengthMax = 256
/** Longest error text kept of a sidecar; the rest is cut. */
export const streamErrorLengthMax = 512
/** Longest wait for the head of a request to the stream server; then the connection is closed. */
export const streamHeadTimeoutMs = 10_000
