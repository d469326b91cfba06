/**
 * A proxy in front whose word is not taken makes one client of everybody: whoever guesses passwords then locks the whole team
 * out of its desk, and nothing says why. So it is said, once each.
 */

import type { Log } from '../ports.ts';

interface Request {
  readonly peer: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ProxyWatchDeps {
  readonly clientAddress: (request: Request) => string | null;
  readonly log: Log;
}

/** TLS is ended by a proxy: we end none. */
export function warnOfNoProxy(url: URL | null, trusted: number | readonly string[], log: Log): void {
  const trustsNone = typeof trusted === 'number' ? trusted === 0 : trusted.length === 0;
  if (url?.protocol !== 'https:' || !trustsNone) return;
  log.warn(
    { event: 'console_trusts_no_proxy' },
    'consoleUrl is https, so a proxy stands in front; name it in consoleTrustProxy, or all people share its address and its limit of wrong passwords',
  );
}

/** For documentation (RFC 5737): no client has it, so that it comes back says that the header was believed. */
const PROBE = '192.0.2.1';
const FORWARDED = 'x-forwarded-for';

/** The client's address; the first time that a peer speaks of another client and is not believed, the log says so. */
export function watchedAddress({ clientAddress, log }: ProxyWatchDeps): (request: Request) => string | null {
  let isSaid = false;
  return (request) => {
    const { peer, headers } = request;
    if (
      !isSaid &&
      headers[FORWARDED] !== undefined &&
      clientAddress({ peer, headers: { [FORWARDED]: PROBE } }) !== PROBE
    ) {
      isSaid = true;
      log.warn(
        { event: 'console_proxy_untrusted' },
        'A sign-in came with X-Forwarded-For from a peer that consoleTrustProxy does not name: if that is your proxy, name it there',
      );
    }
    return clientAddress(request);
  };
}
