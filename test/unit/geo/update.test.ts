/** The download of databases, against a server of the test's own that speaks MaxMind's documented way. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BouncerError } from '../../../src/errors.ts';
import { parseGeoipConf } from '../../../src/geo/geoip-conf.ts';
import { openMmdb } from '../../../src/geo/mmdb.ts';
import { extractFile } from '../../../src/geo/tar.ts';
import { type UpdateOptions, updateDatabases } from '../../../src/geo/update.ts';
import { writeMmdb } from '../../support/mmdb-writer.ts';
import { tarEntry as entry, tar } from '../../support/tar-writer.ts';

const EDITION = 'GeoLite2-Country';
const MODIFIED = 'Mon, 01 Jun 2026 10:00:00 GMT';
const SECRET = 'a-license-key';
const database = writeMmdb({
  databaseType: EDITION,
  builtAtMs: Date.parse('2026-06-01T00:00:00Z'),
  networks: { '81.2.69.0/24': { country: { iso_code: 'GB' } } },
});

const good = () =>
  gzipSync(
    tar(
      entry('GeoLite2-Country_20260601/', Buffer.alloc(0), '5'),
      entry('GeoLite2-Country_20260601/LICENSE.txt', Buffer.from('terms')),
      entry('GeoLite2-Country_20260601/GeoLite2-Country.mmdb', database),
    ),
  );

const directory = mkdtempSync(join(tmpdir(), 'geo-update-'));
const target = join(directory, `${EDITION}.mmdb`);
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => {
  for (const path of [target, `${target}.sha256`]) rmSync(path, { force: true });
});

interface Asked {
  readonly url: string;
  readonly authorization: string | undefined;
  readonly since: string | undefined;
}

async function serve(answer: (req: IncomingMessage, res: ServerResponse) => void) {
  const asked: Asked[] = [];
  const server = createServer((req, res) => {
    const { authorization, 'if-modified-since': since } = req.headers;
    asked.push({ url: req.url ?? '', authorization, since });
    answer(req, res);
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { asked, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** As MaxMind's: an archive, its checksum, and 304 where there is nothing newer. */
function maxmind(archive: Buffer, sum = createHash('sha256').update(archive).digest('hex')) {
  return serve((req, res) => {
    if (req.url?.endsWith('sha256')) return res.end(`${sum}  GeoLite2-Country_20260601.tar.gz\n`);
    if (req.headers['if-modified-since'] === MODIFIED) return res.writeHead(304).end();
    res.writeHead(200, { 'last-modified': MODIFIED }).end(archive);
  });
}

const update = (baseUrl: string, more: Partial<UpdateOptions> = {}) =>
  updateDatabases({ accountId: '42', licenseKey: SECRET, editions: [EDITION], directory, baseUrl, ...more });

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error('it went through'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof BouncerError)) throw error;
  expect(['download_failed', 'database_unusable']).toContain(error.code);
  expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain(SECRET);
  expect(readdirSync(directory).filter((name) => name.endsWith('.new'))).toEqual([]);
  return error.message;
}

describe('an update', () => {
  test('puts the database into place with the server`s time, and asks with the account', async () => {
    const { asked, baseUrl } = await maxmind(good());
    expect(await update(baseUrl)).toEqual([
      { edition: EDITION, path: target, outcome: 'updated', builtOn: '2026-06-01' },
    ]);
    expect(readFileSync(target).equals(database)).toBe(true);
    expect(statSync(target).mtime.toUTCString()).toBe(MODIFIED);
    expect(asked[0]).toEqual({
      url: `/geoip/databases/${EDITION}/download?suffix=tar.gz`,
      authorization: `Basic ${Buffer.from(`42:${SECRET}`).toString('base64')}`,
      since: undefined,
    });
  });

  test('downloads nothing where there is nothing newer', async () => {
    const { asked, baseUrl } = await maxmind(good());
    await update(baseUrl);
    expect(await update(baseUrl)).toMatchObject([{ outcome: 'current' }]);
    expect(asked.at(-1)).toMatchObject({ since: MODIFIED });
  });

  test('downloads what is there and is damaged again, though there is nothing newer', async () => {
    const { asked, baseUrl } = await maxmind(good());
    writeFileSync(target, database.subarray(0, database.length / 2));
    utimesSync(target, new Date(MODIFIED), new Date(MODIFIED));
    expect(await update(baseUrl)).toMatchObject([{ outcome: 'updated' }]);
    expect(asked[0]).toMatchObject({ since: undefined });
    expect(readFileSync(target).equals(database)).toBe(true);
  });

  test('makes the checksums that lie beside the file right, so that a worker that starts takes it; it makes no others', async () => {
    const { baseUrl } = await maxmind(good());
    const sum = `${target}.sha256`;
    writeFileSync(sum, `${'0'.repeat(64)}  ${EDITION}.mmdb\n`);
    await update(baseUrl);
    expect(readFileSync(sum, 'utf8')).toBe(`${createHash('sha256').update(database).digest('hex')}  ${EDITION}.mmdb\n`);
    await expect(openMmdb(target)).resolves.toMatchObject({ name: EDITION });
    expect(readdirSync(directory).sort()).toEqual([`${EDITION}.mmdb`, `${EDITION}.mmdb.sha256`]);
  });

  test('follows to the storage, without the account', async () => {
    const storage = await maxmind(good());
    const { baseUrl } = await serve((req, res) => res.writeHead(302, { location: storage.baseUrl + req.url }).end());
    expect(await update(baseUrl)).toMatchObject([{ outcome: 'updated' }]);
    expect(storage.asked.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });
});

describe('refused, and the file that is there stays:', () => {
  const cases: [string, () => Promise<{ baseUrl: string }>, string][] = [
    ['a wrong key', () => serve((_, res) => res.writeHead(401).end('Invalid license key')), 'license key'],
    ['too many downloads', () => serve((_, res) => res.writeHead(429).end()), 'daily limit'],
    ['a server error', () => serve((_, res) => res.writeHead(503).end()), '503'],
    ['a wrong checksum', () => maxmind(good(), '0'.repeat(64)), 'checksum'],
    ['a page for a checksum', () => maxmind(good(), '<html>'), 'checksum'],
    ['no gzip', () => maxmind(Buffer.from('<html>')), 'gzip'],
    [
      'no database in the archive',
      () => maxmind(gzipSync(tar(entry('a/LICENSE.txt', Buffer.from('x'))))),
      'without a database',
    ],
    [
      'a link in its place',
      () => maxmind(gzipSync(tar(entry(`x/${EDITION}.mmdb`, Buffer.alloc(0), '2')))),
      'without a database',
    ],
    [
      'a database that is damaged',
      () => maxmind(gzipSync(tar(entry(`x/${EDITION}.mmdb`, database.subarray(0, -9))))),
      'damaged',
    ],
    [
      'redirects without an end',
      () => serve((req, res) => res.writeHead(302, { location: req.url ?? '' }).end()),
      'too often',
    ],
    [
      'a redirect to a file',
      () => serve((_, res) => res.writeHead(302, { location: 'file:///etc/passwd' }).end()),
      'no safe address',
    ],
    [
      'a connection that breaks off',
      () =>
        serve((_, res) => {
          res.writeHead(200, { 'content-length': '1000' });
          res.write('x', () => res.destroy());
        }),
      'broke off',
    ],
  ];

  test.each(cases)('%s', async (_name, server, text) => {
    writeFileSync(target, 'the old one');
    expect(await refusal(update((await server()).baseUrl))).toContain(text);
    expect(readFileSync(target, 'utf8')).toBe('the old one');
  });

  test('a server that never answers, at the deadline', async () => {
    const { baseUrl } = await serve(() => {});
    expect(await refusal(update(baseUrl, { timeoutMs: 100 }))).toContain('could not be fetched');
  });

  test.each(['../evil', 'a/b', '', '-x'])('an edition called %j is not asked for', async (name) => {
    const { asked, baseUrl } = await maxmind(good());
    await refusal(update(baseUrl, { editions: [name] }));
    expect(asked).toEqual([]);
    expect(existsSync(join(directory, '..', 'evil.mmdb'))).toBe(false);
  });
});

describe('a good file is not replaced by a worse one:', () => {
  const build = (day: string, country: string) =>
    writeMmdb({
      databaseType: EDITION,
      builtAtMs: Date.parse(day),
      networks: { '81.2.69.0/24': { country: { iso_code: country } } },
    });
  const archived = (bytes: Buffer) => gzipSync(tar(entry(`x/${EDITION}.mmdb`, bytes)));

  test.each([
    ['an older build', build('2026-05-01', 'GB'), 'is older than the one in use'],
    ['one that the operator`s canary knows better', build('2026-06-02', 'US'), 'than the canary for 81.2.69.142'],
  ])('%s', async (_name, worse, text) => {
    writeFileSync(target, database);
    const { baseUrl } = await maxmind(archived(worse));
    const message = await refusal(update(baseUrl, { canaries: { '81.2.69.142': 'GB' } }));
    expect(message).toContain(text);
    expect(message).toContain(`${target} stays as it was`);
    expect(readFileSync(target).equals(database)).toBe(true);
  });

  test('a newer and fit one is taken', async () => {
    writeFileSync(target, database);
    const { baseUrl } = await maxmind(archived(build('2026-06-02', 'GB')));
    const done = await update(baseUrl, { canaries: { '81.2.69.142': 'GB' } });
    expect(done).toMatchObject([{ outcome: 'updated', builtOn: '2026-06-02' }]);
  });
});

test('an archive is read for one plain file, whatever its names say', () => {
  const wanted = Buffer.from('content');
  expect(extractFile(tar(entry('../../x/a.mmdb', wanted)), 'a.mmdb')?.toString()).toBe('content');
  expect(extractFile(tar(entry('a.mmdb/', Buffer.alloc(0), '5'), entry('b.mmdb', wanted)), 'a.mmdb')).toBeNull();
  const cut = entry('a.mmdb', Buffer.alloc(5000)).subarray(0, 2000);
  expect(extractFile(cut, 'a.mmdb')).toBeNull();
  const wrong = entry('a.mmdb', wanted);
  wrong[0] = 0x62;
  expect(extractFile(wrong, 'b.mmdb')).toBeNull();
});

test('GeoIP.conf is read as geoipupdate does; what is missing is named, nothing else', () => {
  const text = `# comment\nAccountID 42\nLicenseKey ${SECRET}\nEditionIDs GeoLite2-Country GeoLite2-ASN\nDatabaseDirectory /var/lib/GeoIP\n`;
  expect(parseGeoipConf(text)).toEqual({
    accountId: '42',
    licenseKey: SECRET,
    editions: ['GeoLite2-Country', 'GeoLite2-ASN'],
    directory: '/var/lib/GeoIP',
  });
  const commented = text
    .replace('/var/lib/GeoIP', '/var/lib/Geo IP#1 \t# ours')
    .replace('AccountID 42', 'AccountID\t42 #');
  expect(parseGeoipConf(commented)).toMatchObject({ accountId: '42', directory: '/var/lib/Geo IP#1' });
  expect(() => parseGeoipConf(text.replace('AccountID 42', 'AccountID # none'))).toThrow('AccountID is missing');
  expect(() => parseGeoipConf(text.replace('AccountID', '#'))).toThrow('AccountID is missing');
});
