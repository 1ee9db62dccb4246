/** Puts sidecars into pods. */
export { review } from './review.ts'
export { createWebhook, webhookPath } from './webhook.ts'
