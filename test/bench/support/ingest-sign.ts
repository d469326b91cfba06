/** What a sender adds to a message: Standard Webhooks' headers. */
import { createHmac } from 'node:crypto';

export function signedHeaders(key: Uint8Array, id: string, body: string, atMs = Date.now()): Record<string, string> {
  const atSeconds = Math.floor(atMs / 1000);
  const signature = createHmac('sha256', key).update(`${id}.${atSeconds}.${body}`).digest('base64');
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(atSeconds),
    'webhook-signature': `v1,${signature}`,
  };
}
