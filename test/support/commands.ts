/**
 * The commands that clients send, by MONITOR over a socket of our own. (A client library's monitor mode may trip over what
 * other tests send to the shared server at that moment.)
 */
import { connect, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { until } from './index.ts';

/** `1712345678.123456 [0 127.0.0.1:50000] "get" "key"`; a command from inside a script says `lua` for the address. */
const LINE = /^\+[\d.]+ \[\d+ (\S+)\] (.*)$/;

/** Names, in lower case, of the commands with an argument that holds this, while `work` runs. */
export async function commandsOn(redis: Redis, part: string, work: () => Promise<unknown>): Promise<string[]> {
  const { host = '127.0.0.1', port = 6379, username, password } = redis.options;
  const socket = connect(port, host);
  const seen = reading(socket);
  try {
    const first = [...(password ? [`AUTH ${username || 'default'} ${password}`] : []), 'MONITOR'];
    socket.write(first.map((line) => `${line}\r\n`).join(''));
    await until(() => seen.lines.filter((line) => line === '+OK').length === first.length);
    await work();
    const mark = `end-${Math.random()}`;
    await redis.echo(mark);
    await until(() => seen.lines.some((line) => line.includes(mark)));
    return seen.lines.flatMap((line) => named(line, part));
  } finally {
    socket.destroy();
  }
}

function reading(socket: Socket): { lines: string[] } {
  const seen = { lines: [] as string[] };
  let rest = '';
  socket.setEncoding('utf8').on('error', () => {});
  socket.on('data', (text: string) => {
    const parts = (rest + text).split('\r\n');
    rest = parts.pop() ?? '';
    seen.lines.push(...parts);
  });
  return seen;
}

/** A script that the server does not know yet is sent once more with its text (EVAL): still one write. */
function named(line: string, part: string): string[] {
  const [, source, text = ''] = LINE.exec(line) ?? [];
  if (source === undefined || source === 'lua') return [];
  const [name = '', ...args] = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word);
  const command = name.toLowerCase();
  return command !== 'eval' && args.some((arg) => arg.includes(part)) ? [command] : [];
}
