import { describe, expect, test } from '@jest/globals';
import { compileTrust } from '../../src/domain/forwarded.ts';
import { proxyWatch } from '../../src/web/untrusted-proxy.ts';
import { captureLog } from '../support/index.ts';

const HEADERS = { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9', 'cf-connecting-ip': '203.0.113.9' };

describe.each(Object.entries(HEADERS))('a private peer with %s', (header, value) => {
  const said = (proxies: number | readonly string[]) => {
    const log = captureLog();
    const watch = proxyWatch(compileTrust(proxies, header), log);
    for (let i = 0; i < 2; i++) watch({ peer: '10.0.0.7', headers: { [header]: value } });
    return log.entries.map(({ fields }) => fields);
  };

  test('is told once where nobody trusts it', () => {
    for (const proxies of [[], 0, ['loopback'], ['10.0.0.8']]) {
      expect(said(proxies)).toEqual([{ event: 'proxy_untrusted', header }]);
    }
  });

  test('is not told where it is trusted, by address or by number', () => {
    for (const proxies of [['10.0.0.7'], ['private'], ['0.0.0.0/0'], 1, 2]) expect(said(proxies)).toEqual([]);
  });
});
