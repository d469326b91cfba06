/** Why a session id was refused before anything was asked about it. Counted as `id:...` in `stats().refused`. */
export type IdProblem = 'empty' | 'deleted' | 'oversized' | 'malformed' | 'duplicate' | 'bad_signature';

/**
 * The ids that the session middlewares of all supported frameworks issue: 126 bits or more in letters that need no
 * escaping (base64url of 16 to 96 bytes, hexadecimal, UUID).
 */
export const ID_PATTERN = /^[\w-]{21,128}$/;

/** A cookie longer than this is none of ours: an id of 128 letters, its signature, and room for a prefix. */
const MAX_COOKIE = 512;

/** PHP and old clients leave `deleted` behind where a cookie was cleared; whoever holds the same value would share it. */
export function idProblem(id: string, pattern: RegExp): IdProblem | null {
  if (id === '') return 'empty';
  if (id === 'deleted') return 'deleted';
  if (id.length > MAX_COOKIE) return 'oversized';
  return pattern.test(id) ? null : 'malformed';
}

export type Screened =
  | { readonly kind: 'none' }
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'refused'; readonly problem: IdProblem };

/**
 * The one session id that the `Cookie` header brings. Two cookies of this name with different values are refused, both:
 * the second may have been planted by another host of the same domain (RFC 6265, 8.6).
 *
 * @param idIn takes the id out of the decoded value, or null where it is not of the right form
 */
export function screenCookie(
  header: string,
  name: string,
  pattern: RegExp,
  idIn: (value: string) => string | null,
): Screened {
  const values = new Set(pairs(header).flatMap((pair) => (nameOf(pair) === name ? [textOf(pair)] : [])));
  const [value] = values;
  if (value === undefined) return { kind: 'none' };
  if (values.size > 1) return { kind: 'refused', problem: 'duplicate' };
  if (value.length > 3 * MAX_COOKIE) return { kind: 'refused', problem: 'oversized' };
  const text = decoded(value);
  const odd = text === '' || text === 'deleted' || text.length > MAX_COOKIE ? idProblem(text, pattern) : null;
  if (odd !== null) return { kind: 'refused', problem: odd };
  const id = idIn(text);
  const problem = id === null ? 'malformed' : idProblem(id, pattern);
  return problem === null && id !== null ? { kind: 'id', id } : { kind: 'refused', problem: problem ?? 'malformed' };
}

/** The header without the cookies of this name: what was refused must not reach the session middleware. */
export function withoutCookie(header: string, name: string): string {
  return pairs(header)
    .filter((pair) => nameOf(pair) !== name)
    .join('; ');
}

/** The name under which the header brings a value that contains `text`, or null. */
export function cookieNameOf(header: string, text: string): string | null {
  const pair = pairs(header).find((each) => decoded(textOf(each)).includes(text));
  return pair === undefined ? null : nameOf(pair);
}

function pairs(header: string): string[] {
  return header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.indexOf('=') > 0);
}

function nameOf(pair: string): string {
  return pair.slice(0, pair.indexOf('=')).trim();
}

function textOf(pair: string): string {
  const value = pair.slice(pair.indexOf('=') + 1).trim();
  return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
