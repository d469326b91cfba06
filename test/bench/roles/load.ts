/** A small load generator, where wrk is not installed: keep-alive connections, each one request after the other. */
import { Agent, get } from 'node:http';
import { serve } from '../support/child.ts';

export interface LoadApi {
  /** Ends after `seconds` or `limit` requests. Rejects at the first answer that is not 200. */
  run(port: number, cookie: string, connections: number, seconds: number, limit: number): Promise<number>;
}

const agent = new Agent({ keepAlive: true });

function request(port: number, cookie: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = get({ host: '127.0.0.1', port, path: '/', agent, headers: { cookie } }, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${response.statusCode}`))));
    });
    sent.on('error', reject);
  });
}

serve<LoadApi>(
  {
    async run(port, cookie, connections, seconds, limit) {
      const endMs = performance.now() + 1000 * seconds;
      let sent = 0;
      const one = async () => {
        while (performance.now() < endMs && sent++ < limit) await request(port, cookie);
      };
      await Promise.all(Array.from({ length: connections }, one));
      return Math.min(sent, limit);
    },
  },
  async () => agent.destroy(),
);
