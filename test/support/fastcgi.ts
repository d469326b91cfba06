/** One request to a FastCGI responder such as php-fpm, on a connection of its own (FastCGI 1.0). Without Jest, for benchmarks too. */
import { connect } from 'node:net';

export interface FastCgiRequest {
  readonly port: number;
  /** As CGI names them: SCRIPT_FILENAME, REQUEST_METHOD, HTTP_COOKIE ... */
  readonly params: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface FastCgiAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** What the script wrote into its error log. */
  readonly errors: string;
}

const BEGIN = 1;
const END = 3;
const PARAMS = 4;
const STDIN = 5;
const STDOUT = 6;
const STDERR = 7;
const RESPONDER = 1;
const MAX_CONTENT = 0xffff;
const HEAD_BYTES = 8;

export async function askFastCgi({ port, params, body }: FastCgiRequest): Promise<FastCgiAnswer> {
  const socket = connect(port, '127.0.0.1');
  const request = Buffer.concat([
    record(BEGIN, Buffer.from([0, RESPONDER, 0, 0, 0, 0, 0, 0])),
    ...stream(PARAMS, Buffer.concat(Object.entries(params).map(pair))),
    ...stream(STDIN, body),
  ]);
  socket.write(request);
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let isWhole = false;
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    for (let next = take(rest); next !== null; next = take(rest)) {
      rest = next.rest;
      if (next.type === STDOUT) out.push(next.content);
      if (next.type === STDERR) errors.push(next.content);
      isWhole ||= next.type === END;
    }
    if (isWhole) break;
  }
  if (!isWhole) throw new Error('php-fpm went away before it had answered');
  return { ...answerOf(Buffer.concat(out)), errors: Buffer.concat(errors).toString('utf8') };
}

function record(type: number, content: Buffer): Buffer {
  const head = Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 0xff, 0, 0]);
  return Buffer.concat([head, content]);
}

/** An empty record ends it. */
function stream(type: number, content: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let from = 0; from < content.length; from += MAX_CONTENT) {
    records.push(record(type, content.subarray(from, from + MAX_CONTENT)));
  }
  return [...records, record(type, Buffer.alloc(0))];
}

function pair([name, value]: [string, string]): Buffer {
  const [key, text] = [Buffer.from(name), Buffer.from(value)];
  return Buffer.concat([size(key.length), size(text.length), key, text]);
}

function size(length: number): Buffer {
  if (length < 128) return Buffer.from([length]);
  const long = Buffer.alloc(4);
  long.writeUInt32BE((length | 0x80000000) >>> 0);
  return long;
}

/** Null where the next record is not whole yet. */
function take(bytes: Buffer): { readonly type: number; readonly content: Buffer; readonly rest: Buffer } | null {
  if (bytes.length < HEAD_BYTES) return null;
  const end = HEAD_BYTES + bytes.readUInt16BE(4);
  const next = end + bytes.readUInt8(6);
  if (bytes.length < next) return null;
  return { type: bytes.readUInt8(1), content: bytes.subarray(HEAD_BYTES, end), rest: bytes.subarray(next) };
}

function answerOf(text: Buffer): Omit<FastCgiAnswer, 'errors'> {
  const at = text.indexOf('\r\n\r\n');
  if (at < 0) throw new Error(`php-fpm gave no CGI answer: ${text.subarray(0, 200).toString('latin1')}`);
  const lines = text.subarray(0, at).toString('latin1').split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const status = Number.parseInt(headers.find(([name]) => name === 'status')?.[1] ?? '200', 10);
  return { status, headers: headers.filter(([name]) => name !== 'status'), body: text.subarray(at + 4) };
}
