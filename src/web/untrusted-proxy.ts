import { parseAddress } from '../domain/address.ts';
import { clientAddress, type TrustProxy } from '../domain/forwarded.ts';
import type { Log } from '../ports.ts';
import { type HttpRequest, headerOf } from './http.ts';

/** No address in any of the headers (RFC 7239 writes it so): that it is found malformed says that the header was read. */
const PROBE = 'unknown';

/**
 * A proxy in front that `trustProxy` does not name gives its own address to everybody: mostly a private one, which has no
 * country, so that no login is checked, and nothing else shows it in the web tier. So it is said, once. A public peer with
 * such a header may be any client.
 */
export function proxyWatch(trust: TrustProxy, log: Log): (http: Pick<HttpRequest, 'peer' | 'headers'>) => void {
  let isSaid = false;
  return (http) => {
    if (isSaid || headerOf(http, trust.header).trim() === '') return;
    const { peer } = http;
    const parsed = parseAddress(peer);
    if (!parsed.ok || parsed.kind === 'global') return;
    if (clientAddress({ peer, headers: { [trust.header]: PROBE } }, trust).problem === 'malformed_forwarding') return;
    isSaid = true;
    log.warn(
      { event: 'proxy_untrusted', header: trust.header },
      'A login came with a forwarding header from a peer that trustProxy does not name: if that is your proxy, name it there, or its address is taken for the clients',
    );
  };
}
