/** What the session middlewares of all frameworks let an app say about its cookie. */
export interface CookieAttributes {
  readonly path?: string | null | undefined;
  readonly domain?: string | null | undefined;
  readonly secure?: boolean | string | null | undefined;
  readonly httpOnly?: boolean | null | undefined;
  readonly sameSite?: boolean | string | null | undefined;
  readonly partitioned?: boolean | null | undefined;
}

/** A `Set-Cookie` value. `maxAgeMs` null: until the browser closes. */
export function setCookie(name: string, value: string, attributes: CookieAttributes, maxAgeMs: number | null): string {
  return serialise(name, value, attributes, maxAgeMs === null ? [] : [`Max-Age=${Math.floor(maxAgeMs / 1000)}`]);
}

/**
 * A `Set-Cookie` value that takes the cookie away. A browser does that only under the same name, Domain and Path, and for
 * a name with a prefix only with that prefix's attributes (RFC 6265bis, 5.7): so both come from one function. The app's own
 * maxAge has no place here: it would win over Expires.
 */
export function clearCookie(name: string, attributes: CookieAttributes): string {
  return serialise(name, '', attributes, ['Max-Age=0', 'Expires=Thu, 01 Jan 1970 00:00:00 GMT']);
}

function serialise(name: string, value: string, given: CookieAttributes, life: readonly string[]): string {
  const host = /^__host-/i.test(name);
  const parts = [`${name}=${value}`, `Path=${host ? '/' : (given.path ?? '/')}`, ...life];
  if (given.domain && !host) parts.push(`Domain=${given.domain}`);
  if (given.httpOnly !== false) parts.push('HttpOnly');
  if (given.secure || given.partitioned || host || /^__secure-/i.test(name)) parts.push('Secure');
  if (given.partitioned) parts.push('Partitioned');
  const { sameSite } = given;
  if (sameSite) parts.push(`SameSite=${sameSite === true ? 'Strict' : capitalised(sameSite)}`);
  return parts.join('; ');
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase();
}
