/**
 * The grammar of `Forwarded` (RFC 7239): `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`.
 *
 * Read from the right: what a client wrote stands left of what our proxies wrote, and a quote that it left open must not
 * swallow theirs.
 */

/** Of one element. A proxy writes an address or two, a host and a scheme. */
const MAX_ELEMENT = 1024;

const TOO_LONG = ',';
const BLANK = /^[ \t]*$/;

const QUOTE = 34;
const COMMA = 44;
const SEMICOLON = 59;

/** `forwarded-pair` of section 4, white space around it cut off; `=` without white space around it. */
const PAIR = /^([a-z0-9!#$%&'*+.^_`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;=]+))$/i;

/** `_name` for a port: section 6.3. */
const OBFUSCATED_PORT = /^(.*):_[a-z0-9._-]+$/i;

/**
 * The elements, last one first; empty ones are ignored, as RFC 9110 section 5.6.1 tells recipients to. Lazy; what is too long
 * comes out as an element that cannot be read.
 */
export function* elementsFromRight(text: string): Generator<string> {
  let end = text.length;
  let isQuoted = false;
  for (let i = text.length - 1; i >= 0; i--) {
    const code = text.charCodeAt(i);
    if (code === QUOTE && !isEscaped(text, i)) isQuoted = !isQuoted;
    if (end - i > MAX_ELEMENT) return yield TOO_LONG;
    if (code !== COMMA || isQuoted) continue;
    const element = text.slice(i + 1, end);
    if (!BLANK.test(element)) yield element;
    end = i;
  }
  const first = text.slice(0, end);
  if (!BLANK.test(first)) yield first;
}

/** An odd number of backslashes before it. */
function isEscaped(text: string, at: number): boolean {
  let from = at;
  while (from > 0 && text.charCodeAt(from - 1) === 92) from--;
  return (at - from) % 2 === 1;
}

/** The node of the one `for` of an element, unquoted, e.g. `[2001:db8::1]:4711`; null where it is not well formed. */
export function forwardedFor(element: string): string | null {
  if (element.length > MAX_ELEMENT) return null;
  let found: string | null = null;
  for (const part of partsOf(element)) {
    const pair = PAIR.exec(part);
    if (pair === null) return null;
    if (pair[1]?.toLowerCase() !== 'for') continue;
    // Each parameter at most once (section 4): of two, nobody can say which the proxy wrote.
    if (found !== null) return null;
    found = pair[3] ?? (pair[2] ?? '').replace(/\\(.)/g, '$1');
  }
  return found === null ? null : (OBFUSCATED_PORT.exec(found)?.[1] ?? found);
}

function partsOf(element: string): string[] {
  const parts: string[] = [];
  let isQuoted = false;
  let start = 0;
  for (let i = 0; i < element.length; i++) {
    const code = element.charCodeAt(i);
    if (code === QUOTE && !(isQuoted && isEscaped(element, i))) isQuoted = !isQuoted;
    if (code !== SEMICOLON || isQuoted) continue;
    parts.push(trim(element.slice(start, i)));
    start = i + 1;
  }
  parts.push(trim(element.slice(start)));
  return parts;
}

const trim = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/g, '');
