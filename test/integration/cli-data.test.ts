/** `locate` against a place, and `data status|check|update`, as an operator runs them. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { release, spawnNode } from '../support/index.ts';
import { writeMmdb } from '../support/mmdb-writer.ts';
import { tarOf } from '../support/tar-writer.ts';

const BUILT = Date.now() - 20 * 86_400_000;
const DAY = new Date(BUILT).toISOString().slice(0, 10);
const SECRET = 'a-license-key';

const directory = mkdtempSync(join(tmpdir(), 'session-bouncer-data-'));
release(() => rmSync(directory, { recursive: true, force: true }));

async function run(...args: string[]) {
  const spawned = spawnNode('src/cli/main.js', args, { NO_COLOR: undefined, COLUMNS: undefined }, { cwd: directory });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr };
}

function put(name: string, content: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

function database(databaseType: string, networks = { '81.2.0.0/16': 'GB', '90.0.0.0/16': 'FR' }): string {
  const records = Object.entries(networks).map(([cidr, iso_code]) => [cidr, { country: { iso_code } }]);
  return put(
    `${databaseType}.mmdb`,
    writeMmdb({ databaseType, builtAtMs: BUILT, networks: Object.fromEntries(records) }),
  );
}
const two = () => ['--databases', [database('GeoLite2-Country'), database('DBIP-Country')].join(',')];

describe('locate --from', () => {
  test.each([
    ['a country', 'FR', 'revoke, country_changed'],
    ['the same country', 'gb', 'allow, same_country'],
    ['a territory of it', 'JE', 'allow, related_territory'],
    ['an address elsewhere', '90.0.15.20', 'revoke, country_changed'],
    ['an address of the same network', '81.2.69.1', 'allow, same_network'],
  ])('%s', async (_name, from, decision) => {
    const { stdout, stderr, code } = await run('locate', '81.2.69.142', ...two(), '--from', from);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(stdout).toContain(`login by a user known from ${from}: ${decision}`);
  });

  test('without it, a first login; as JSON', async () => {
    const [answer] = JSON.parse((await run('locate', '81.2.69.142', ...two(), '--json')).stdout);
    expect(answer).toMatchObject({
      sighting: { candidates: ['GB'], evidence: [{ builtOn: DAY }, { builtOn: DAY }] },
      decision: { action: 'allow', reason: 'first_login', from: null },
    });
  });

  test('with an override, whose word is certain', async () => {
    const overrides = put('own.csv', '81.2.69.0/24,FR\n');
    const { stdout } = await run('locate', '81.2.69.142', ...two(), '--overrides', overrides, '--from', 'FR');
    expect(stdout).toContain('FR  (an override, certain)');
    expect(stdout).toMatch(/^GeoLite2-Country .* GB .* overruled$/m);
    expect(stdout).toContain('allow, same_country');
  });

  test('the overrides of the configuration count without a flag; canaries refuse a database', async () => {
    put('own.csv', '81.2.69.0/24,FR\n');
    const config = put('c.json', JSON.stringify({ overrides: ['own.csv'], canaries: { '90.0.15.20': 'DE' } }));
    const { stdout, stderr } = await run('locate', '81.2.69.142', ...two(), '--config', config);
    expect(stdout).toContain('FR  (an override, certain)');
    expect(stderr).toMatch(/^warning: .*GeoLite2-Country\.mmdb: .*canary/m);
  });

  test('what is no address is said so, and is a failure; the others are answered', async () => {
    const { stdout, code } = await run('locate', '81.2.69.142', 'londn', ...two());
    expect(code).toBe(1);
    expect(stdout).toMatch(/^81\.2\.69\.142 {2}global/m);
    expect(stdout).toMatch(/^londn {2}not an address/m);
    expect((await run('locate', '81.2.69.142', '10.0.0.1', ...two())).code).toBe(0);
  });

  test('--registry: no registry is asked about an address that is not public', async () => {
    const args = ['locate', '10.0.0.1', ...two(), '--registry'];
    expect((await run(...args)).stdout).toMatch(/^registry: there is none to ask about this address$/m);
    expect(JSON.parse((await run(...args, '--json')).stdout)).toMatchObject([{ registry: { kind: 'nobody' } }]);
  });

  test('what is neither a country nor an address with one is refused', async () => {
    const { stderr, code } = await run('locate', '81.2.69.142', ...two(), '--from', '10.0.0.1');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^option_invalid: --from: .*special_address/);
  });
});

describe('data', () => {
  test('status: each source with its role, day and state', async () => {
    const asn = put('asn.mmdb', writeMmdb({ databaseType: 'GeoLite2-ASN', builtAtMs: BUILT, networks: {} }));
    const paths = [database('GeoLite2-Country'), asn, join(directory, 'absent.mmdb')].join(',');
    const sources = JSON.parse((await run('data', 'status', '--databases', paths, '--json')).stdout);
    expect(sources).toMatchObject([
      { database: 'GeoLite2-Country', role: 'country', builtOn: DAY, ageDays: 20, ok: true },
      { database: 'GeoLite2-ASN', role: 'network', ok: true },
      { database: 'absent.mmdb', ok: false, problem: expect.stringContaining('cannot be read') },
    ]);
    expect((await run('data', 'status', '--databases', paths)).stdout).toMatch(/^absent\.mmdb .* not used /m);
  });

  test('check: what a file is, or why it would be refused', async () => {
    const good = await run('data', 'check', database('GeoLite2-Country'));
    expect(good.stdout).toMatch(/^type +GeoLite2-Country$/m);
    const csv = await run('data', 'check', put('mixed.csv', '81.2.69.0/24,GB\nnonsense\n'), '--json');
    expect(JSON.parse(csv.stdout)).toMatchObject({ role: 'override', rows: 1, skipped: 1, lines: '2 (prefix)' });
    for (const name of ['own.csv.new', 'offices', 'offices.txt']) {
      const { stdout } = await run('data', 'check', put(name, '81.2.69.0/24,GB\n'), '--json');
      expect(JSON.parse(stdout)).toMatchObject({ role: 'override', rows: 1, skipped: 0 });
    }
    const renamed = put('database', readFileSync(database('GeoLite2-Country')));
    expect((await run('data', 'check', renamed)).stdout).toMatch(/^type +GeoLite2-Country$/m);
    expect((await run('data', 'check', 'absent')).stderr).toMatch(/^database_unusable: .*absent cannot be read/);
    const bad = await run('data', 'check', put('page.mmdb', '<html>'));
    expect(bad.code).toBe(1);
    expect(bad.stderr).toMatch(/^database_unusable: .*page\.mmdb is a web page/);
    const wrong = await run('data', 'check', database('GeoLite2-Country'), '--canaries', '90.0.15.20=DE');
    expect(wrong.stderr).toMatch(/^database_unusable: .*canary/);
  });

  test('update: downloads with the account of GeoIP.conf, and never shows the key', async () => {
    const bytes = readFileSync(database('GeoLite2-Country'));
    const archive = gzipSync(tarOf({ 'GeoLite2-Country_x/GeoLite2-Country.mmdb': bytes }));
    const sum = createHash('sha256').update(archive).digest('hex');
    const server = createServer((req, res) => {
      if (req.headers.authorization !== `Basic ${Buffer.from(`42:${SECRET}`).toString('base64')}`)
        res.writeHead(401).end();
      else res.end(req.url?.endsWith('sha256') ? `${sum}  x.tar.gz` : archive);
    });
    release(() => server.close());
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const conf = (key: string) => put('GeoIP.conf', `AccountID 42\nLicenseKey ${key}\nEditionIDs GeoLite2-Country\n`);
    const args = ['data', 'update', '--geoip-conf', conf(SECRET), '--directory', directory, '--url', url];
    const done = await run(...args);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.stdout).toContain(`GeoLite2-Country: updated, built on ${DAY}`);
    conf('a-wrong-key');
    const refused = await run(...args);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^download_failed: .*check the account id and the license key/);
    expect(`${refused.stdout}${refused.stderr}${done.stdout}`).not.toMatch(/a-wrong-key|a-license-key/);
  });

  test('update: the account is not sent in clear text over a network', async () => {
    const conf = put('GeoIP.conf', `AccountID 42\nLicenseKey ${SECRET}\nEditionIDs GeoLite2-Country\n`);
    const { stderr, code } = await run(
      'data',
      'update',
      '--geoip-conf',
      conf,
      '--directory',
      directory,
      '--url',
      'http://example.com',
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/^option_invalid: --url/);
  });
});
