/** Load from a process of its own, to 127.0.0.1 only, bounded in time and in number: wrk, else our own generator. */
import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { LoadApi } from '../roles/load.ts';
import { type Child, start } from './child.ts';

const CONNECTIONS = 32;
const LIMIT = 100_000;

export interface Load {
  readonly tool: string;
  /** Rejects when an answer was not 2xx. */
  run(port: number, cookie: string, seconds: number): Promise<void>;
  stop(): Promise<void>;
}

export function openLoad(dir: string): Load {
  return spawnSync('wrk', ['-v']).error === undefined ? wrk(dir) : ownLoad(dir);
}

function wrk(dir: string): Load {
  const script = `${dir}/bounded.lua`;
  writeFileSync(
    script,
    `local left = ${LIMIT}
local text
init = function() text = wrk.format('GET') end
request = function()
  left = left - 1
  if left < 0 then wrk.thread:stop() end
  return text
end
`,
  );
  return {
    tool: `wrk, ${CONNECTIONS} connections`,
    async run(port, cookie, seconds) {
      const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, '-H', `Cookie: ${cookie}`];
      const { stdout } = await promisify(execFile)('wrk', [...args, `http://127.0.0.1:${port}/`]);
      if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`The load met errors:\n${stdout}`);
    },
    stop: async () => {},
  };
}

function ownLoad(dir: string): Load {
  const child: Child<LoadApi> = start<LoadApi>('load', dir);
  return {
    tool: `own generator, ${CONNECTIONS} connections`,
    async run(port, cookie, seconds) {
      await child.call('run', port, cookie, CONNECTIONS, seconds, LIMIT);
    },
    stop: () => child.stop(),
  };
}
