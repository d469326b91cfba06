/** What is trusted of a user and since when: countries, networks, devices; and the forms that trust or forget them. */

import { createHash } from 'node:crypto';
import type { Hono } from 'hono';
import type { HistoryEntry, Trust } from '../../desk-ports.ts';
import { normaliseCountry } from '../../domain/country.ts';
import type { FamilyBaseline, KnownNetwork, Place } from '../../domain/types.ts';
import { BouncerError } from '../../errors.ts';
import type { LoginEntry } from '../../ports.ts';
import { readNetwork } from '../incident-filter.ts';
import { MAX_LIST_WHY, MAX_NOTE, oneOf, requiredText } from '../inputs.ts';
import {
  type ConsoleEnv,
  type Ctx,
  mayAct,
  NetworkLink,
  PostForm,
  requireRole,
  Scroll,
  seeOther,
  Time,
  Untrusted,
  userPath,
  withQuery,
} from '../kit.tsx';
import { countryList } from '../places.ts';

export interface KnownOfUser {
  readonly sessions: readonly LoginEntry[];
  readonly history: readonly HistoryEntry[];
  readonly trust: Trust;
}

type UserHandler = (c: Ctx, userId: string) => Promise<Response>;

export function trustRoutes(app: Hono<ConsoleEnv>, ofUser: (then: UserHandler) => (c: Ctx) => Promise<Response>): void {
  app.post('/user/trust', requireRole('analyst'), ofUser(trust));
  app.post('/user/forget', requireRole('analyst'), ofUser(forget));
  app.post('/user/trust-device', requireRole('analyst'), ofUser(trustDevice));
}

interface Props {
  readonly c: Ctx;
  readonly userId: string;
  readonly known: KnownOfUser;
}

export function UserTrust({ c, userId, known }: Props) {
  const { v4, v6 } = known.trust.baseline;
  return (
    <>
      <Family c={c} userId={userId} name="IPv4" family={v4} />
      <Family c={c} userId={userId} name="IPv6" family={v6} />
      {[v4, v6].every(isEmpty) ? (
        <p>Nothing is known of this user: the next login that can be located begins it.</p>
      ) : null}
      <TrustForm c={c} userId={userId} />
      <Devices c={c} userId={userId} known={known} />
    </>
  );
}

const isEmpty = ({ places, networks }: FamilyBaseline) => places.length + networks.length === 0;

function Family({ c, userId, name, family }: { c: Ctx; userId: string; name: string; family: FamilyBaseline }) {
  if (isEmpty(family)) return null;
  const mayForget = mayAct(c.var.actor.role, 'analyst');
  return (
    <Scroll label={`Trusted over ${name}`}>
      <table class="striped">
        <thead>
          <tr>
            {[`Trusted (${name})`, 'How', 'Since (UTC)', 'Last seen (UTC)'].map((title) => (
              <th scope="col">{title}</th>
            ))}
            {mayForget ? <th scope="col">Forget</th> : null}
          </tr>
        </thead>
        <tbody>
          {family.places.map((place) => (
            <PlaceRow c={c} userId={userId} place={place} mayForget={mayForget} />
          ))}
          {family.networks.map((known) => (
            <NetworkRow c={c} userId={userId} known={known} mayForget={mayForget} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

interface RowProps {
  readonly c: Ctx;
  readonly userId: string;
  readonly mayForget: boolean;
}

function PlaceRow({ c, userId, place, mayForget }: RowProps & { place: Place }) {
  const { countries, agreed, firstSeenMs, lastSeenMs } = place;
  return (
    <tr>
      <th scope="row">{countryList(countries)}</th>
      <td>{agreed ? 'country, certain' : 'country, disputed'}</td>
      <td>
        <Time ms={firstSeenMs} />
      </td>
      <td>
        <Time ms={lastSeenMs} />
      </td>
      {mayForget ? (
        <td>
          {countries.map((code) => (
            <Forget c={c} userId={userId} what="country" value={code} />
          ))}
        </td>
      ) : null}
    </tr>
  );
}

function NetworkRow({ c, userId, known, mayForget }: RowProps & { known: KnownNetwork }) {
  return (
    <tr>
      <th scope="row">
        <NetworkLink c={c} network={known.network} />
      </th>
      <td>network</td>
      <td>
        <Time ms={known.firstSeenMs} />
      </td>
      <td>
        <Time ms={known.lastSeenMs} />
      </td>
      {mayForget ? (
        <td>
          <Forget c={c} userId={userId} what="network" value={known.network} />
        </td>
      ) : null}
    </tr>
  );
}

function Forget({ c, userId, what, value }: { c: Ctx; userId: string; what: 'country' | 'network'; value: string }) {
  return (
    <PostForm
      c={c}
      action={withQuery('/user/forget', { id: userId })}
      needs="analyst"
      values={{ what, value }}
      class="row"
    >
      <input name="why" required maxlength={MAX_NOTE} placeholder="why" aria-label={`Why ${value} is forgotten`} />
      <button type="submit" class="outline small">
        Forget {value}
      </button>
    </PostForm>
  );
}

function TrustForm({ c, userId }: { c: Ctx; userId: string }) {
  return (
    <PostForm c={c} action={withQuery('/user/trust', { id: userId })} needs="analyst">
      <fieldset>
        <legend>Trust a country or a network of this user</legend>
        <div class="row">
          <div>
            <label for="trust-what">What</label>
            <select id="trust-what" name="what">
              <option value="country">country</option>
              <option value="network">network</option>
            </select>
          </div>
          <div>
            <label for="trust-value">Which (such as DE, or 192.0.2.0/24)</label>
            <input id="trust-value" name="value" required maxlength={64} autocomplete="off" spellcheck={false} />
          </div>
          <div>
            <label for="trust-why">Why</label>
            <input id="trust-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
          </div>
          <button type="submit">Trust it</button>
        </div>
      </fieldset>
    </PostForm>
  );
}

/** Stands for a device in a form: its own text is the browser's, and a form would not bring every character back. */
const markOf = (deviceId: string) => createHash('sha256').update(deviceId).digest('base64url').slice(0, 22);

interface Device {
  readonly deviceId: string;
  readonly lastAtMs: number;
}

/** Those of live sessions and of the logins on record, most recent first. */
function devicesOf({ sessions, history }: Pick<KnownOfUser, 'sessions' | 'history'>): Device[] {
  const lastAtMs = new Map<string, number>();
  const seen = [
    ...sessions.map(({ deviceId, loginAtMs }) => ({ deviceId, atMs: loginAtMs })),
    ...history.map(({ deviceId, atMs }) => ({ deviceId, atMs })),
  ];
  for (const { deviceId, atMs } of seen) {
    if (deviceId) lastAtMs.set(deviceId, Math.max(atMs, lastAtMs.get(deviceId) ?? 0));
  }
  return [...lastAtMs]
    .map(([deviceId, atMs]) => ({ deviceId, lastAtMs: atMs }))
    .sort((a, b) => b.lastAtMs - a.lastAtMs);
}

const DEVICES_SHOWN = 20;

function Devices({ c, userId, known }: Props) {
  const devices = devicesOf(known).slice(0, DEVICES_SHOWN);
  if (devices.length === 0) return null;
  const listed = new Map(known.trust.entries.filter(({ kind }) => kind === 'device').map((one) => [one.value, one]));
  return (
    <Scroll label="Devices">
      <table class="striped">
        <thead>
          <tr>
            <th scope="col">Device</th>
            <th scope="col">Last login (UTC)</th>
            <th scope="col">Trusted</th>
          </tr>
        </thead>
        <tbody>
          {devices.map(({ deviceId, lastAtMs }, i) => {
            const entry = listed.get(deviceValue(userId, deviceId));
            return (
              <tr>
                <th scope="row">
                  <Untrusted text={deviceId} max={128} code />
                </th>
                <td>
                  <Time ms={lastAtMs} />
                </td>
                <td>
                  {entry === undefined ? (
                    <TrustDevice c={c} userId={userId} deviceId={deviceId} number={i + 1} />
                  ) : (
                    <>
                      on the {entry.list} list since <Time ms={entry.createdAtMs} /> (remove it below)
                    </>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

interface TrustDeviceProps {
  readonly c: Ctx;
  readonly userId: string;
  readonly deviceId: string;
  readonly number: number;
}

function TrustDevice({ c, userId, deviceId, number }: TrustDeviceProps) {
  const action = withQuery('/user/trust-device', { id: userId });
  if (!mayAct(c.var.actor.role, 'analyst')) return <>no</>;
  if (!isListable(deviceId)) return <>cannot be: its id holds a blank</>;
  return (
    <PostForm c={c} action={action} needs="analyst" values={{ device: markOf(deviceId) }} class="row">
      <input
        name="why"
        required
        maxlength={MAX_LIST_WHY}
        placeholder="why"
        aria-label={`Why device ${number} is trusted`}
      />
      <button type="submit" class="outline small" aria-label={`Trust device ${number}`}>
        Trust
      </button>
    </PostForm>
  );
}

/** The lists part a user from a device at the last blank: such an id would be read as another user's device. */
const isListable = (deviceId: string) => !/\s/.test(deviceId);

/** As the lists spell it. */
const deviceValue = (userId: string, deviceId: string) => `${userId} ${deviceId}`;

const trust: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  const why = requiredText(form, 'why');
  if (oneOf(form, 'what', ['country', 'network']) === 'country') {
    await desk.trustCountry(userId, readCountry(form), why, actor);
    return seeOther(c, userPath(userId), 'The country is trusted.');
  }
  await desk.trustNetwork(userId, readBlock(form), why, actor);
  return seeOther(c, userPath(userId), 'The network is trusted.');
};

const forget: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  const why = requiredText(form, 'why');
  const isCountry = oneOf(form, 'what', ['country', 'network']) === 'country';
  const forgotten = isCountry
    ? await desk.forgetCountry(userId, readCountry(form), why, actor)
    : await desk.forgetNetwork(userId, readBlock(form), why, actor);
  if (!forgotten) return seeOther(c, userPath(userId), 'It was not trusted any more.');
  const also = forgotten === true || forgotten.networks.length === 0 ? [] : forgotten.networks;
  const seen = also.length === 0 ? '' : ` So are the networks that were seen there: ${also.join(', ')}.`;
  const left = isCountry ? await networksLeft(c, userId) : '';
  return seeOther(c, userPath(userId), `It is forgotten.${seen}${left}`);
};

/** Where one of them is in that country after all, whoever logs in from there is let in. */
async function networksLeft(c: Ctx, userId: string): Promise<string> {
  const { v4, v6 } = (await c.var.desk.trust(userId)).baseline;
  const isAny = v4.networks.length + v6.networks.length > 0;
  return isAny
    ? ' Logins from the networks that are still trusted are not compared: forget below what is not theirs.'
    : '';
}

const trustDevice: UserHandler = async (c, userId) => {
  const { form, desk, actor } = c.var;
  const why = requiredText(form, 'why', MAX_LIST_WHY);
  const mark = requiredText(form, 'device', 64);
  const [sessions, history] = await Promise.all([desk.sessions(userId), desk.history(userId, 200)]);
  const device = devicesOf({ sessions, history }).find(({ deviceId }) => markOf(deviceId) === mark);
  if (device === undefined) return seeOther(c, userPath(userId), 'That device is not on record any more.');
  if (!isListable(device.deviceId)) throw new BouncerError('option_invalid', 'device: its id holds a blank');
  const value = deviceValue(userId, device.deviceId);
  await desk.addToList({ list: 'allow', kind: 'device', value, why, expiresAtMs: null }, actor);
  return seeOther(c, userPath(userId), 'The device is trusted.');
};

function readCountry(form: URLSearchParams): string {
  const { country } = normaliseCountry(requiredText(form, 'value', 64));
  if (country === undefined)
    throw new BouncerError('option_invalid', 'value: give a country in two letters, such as DE');
  return country;
}

/** A /24 or /48, as the baseline keeps them; an address stands for the one around it. */
function readBlock(form: URLSearchParams): string {
  const network = readNetwork(requiredText(form, 'value', 64));
  if (network !== null) return network;
  throw new BouncerError('option_invalid', 'value: give a /24 (IPv4) or /48 (IPv6), such as 192.0.2.0/24');
}
