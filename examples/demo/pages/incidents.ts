/** The analysts' page. User agents, paths and user ids come from outside: `html` escapes them, the keys are bounded. */
import type { IncidentRecord, Visit } from '../../../src/domain/incident.ts';
import { REASONS } from '../../../src/domain/reasons.ts';
import type { Baseline, Evidence } from '../../../src/domain/types.ts';
import { cityByAddress } from '../cities.ts';
import type { ReviewState } from '../review.ts';
import { frame, type Html, html } from './html.ts';

export function incidentsPage(state: ReviewState): Html {
  const { counters, incidents } = state;
  const count = (name: string) => counters[name] ?? 0;
  return frame({
    title: 'Incidents · Harbour',
    here: 'incidents',
    live: true,
    main: html`<main id="live" data-live><h1>Incidents</h1>
<p class="lead">What an analyst sees. The page follows by itself.</p>
<dl class="totals"><div><dt>logins checked</dt><dd>${count('logins')}</dd></div>
<div><dt>allowed</dt><dd>${count('action:allow')}</dd></div>
<div class="flag"><dt>flagged</dt><dd>${count('action:flag')}</dd></div>
<div class="revoke"><dt>ended</dt><dd>${count('action:revoke')}</dd></div></dl>
${incidents.length === 0 ? nothing() : incidents.map(card)}</main>`,
  });
}

function nothing(): Html {
  return html`<section class="card empty"><h2>Quiet so far</h2>
<p><a href="/login">Sign in</a> as alice from London. Then do it again in a private window, as alice from another country.</p></section>`;
}

function card(one: IncidentRecord): Html {
  const ended = one.action === 'revoke';
  return html`<article class="card case"><header><div class="who"><h2>${one.userId}</h2><span class="badge ${one.action}">${badge(one)}</span></div>
<p class="soft"><code>${one.id}</code> · <time datetime="${new Date(one.loginAtMs).toISOString()}">${clock(one.loginAtMs)}</time>${one.status === 'open' ? '' : ` · answered: ${one.status}`}</p></header>
<p class="why"><code>${one.reason}</code> ${REASONS[one.reason].meaning}</p>
<div class="versus"><section class="side"><h3>Known</h3>${known(one.baseline)}</section>
<span class="sign ${one.action}" aria-hidden="true">${ended ? '≠' : '?'}</span>
<section class="side seen ${one.action}"><h3>Seen</h3>${seen(one)}</section></div>
${steps(one)}${visits(one)}</article>`;
}

function badge({ action, mode, outcome }: IncidentRecord): string {
  if (action === 'flag') return 'flagged for review';
  if (mode === 'observe') return 'would have been ended';
  return outcome === 'revoked' || outcome === 'already_revoked' ? 'session ended' : `not ended: ${outcome}`;
}

const countryNames = new Intl.DisplayNames(['en'], { type: 'region' });

function country(code: string): string {
  try {
    return countryNames.of(code) ?? code;
  } catch {
    return code;
  }
}

function countries(codes: readonly string[]): Html {
  return html`<p class="country">${codes.map((code) => html`<b>${code}</b>`)}<span>${codes.map(country).join(' or ')}</span></p>`;
}

function known({ v4, v6 }: Baseline): Html {
  const places = [...v4.places, ...v6.places];
  const networks = [...v4.networks, ...v6.networks];
  return html`${places.map((place) => countries(place.countries))}
<dl class="facts">${networks.map(({ network, lastSeenMs }) => fact('network', html`<code>${network}</code> <span class="soft">last ${clock(lastSeenMs)}</span>`))}</dl>`;
}

function seen({ sighting, userAgent, deviceId }: IncidentRecord): Html {
  const { address } = sighting;
  const city = address === null ? undefined : cityByAddress(address);
  return html`${sighting.kind === 'located' ? countries(sighting.candidates) : ''}<dl class="facts">
${fact('address', html`<code>${address ?? 'unknown'}</code>${city ? html` <span class="soft">${city.name}</span>` : ''}`)}
${sighting.evidence.map((each) => fact(each.database, evidence(each)))}
${deviceId === undefined ? '' : fact('device', deviceId)}
${fact('browser', userAgent === undefined || userAgent === '' ? 'not told' : html`<span class="agent">${userAgent}</span>`)}</dl>`;
}

function evidence({ country: code, note, network, builtOn }: Evidence): Html {
  return html`<b>${code ?? note ?? 'no answer'}</b> ${network === null ? '' : html`<code>${network}</code>`} <span class="soft">${builtOn === null ? 'undated' : `of ${builtOn}`}</span>`;
}

function fact(name: string, value: string | Html): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** Milliseconds since the login: the whole point of the exercise. */
function steps(one: IncidentRecord): Html {
  const all: readonly (readonly [string, number | undefined])[] = [
    ['login', one.loginAtMs],
    ['queued', one.queuedAtMs],
    ['decided', one.decidedAtMs],
    ['session ended', one.revokedAtMs],
    ['first refused', one.firstRefusedAtMs],
  ];
  const happened = all.flatMap(([name, atMs]) => (atMs === undefined ? [] : [{ name, ms: atMs - one.loginAtMs }]));
  return html`<ol class="steps" aria-label="Times since the login">${happened.map(
    ({ name, ms }, i) => html`<li><b>${i === 0 ? '0' : `+${ms}`}<small> ms</small></b><span>${name}</span></li>`,
  )}</ol>`;
}

function visits(one: IncidentRecord): Html {
  if (one.visitCount === 0)
    return html`<p class="soft">${one.action === 'flag' ? 'The session goes on; nothing was refused.' : 'Nobody has come back yet.'}</p>`;
  const shown = one.visits.length < one.visitCount ? `, ${one.visits.length} shown` : '';
  return html`<h3>Came back ${one.visitCount} ${one.visitCount === 1 ? 'time' : 'times'}<span class="soft">${shown}</span></h3>
<div class="scroll"><table><thead><tr><th>after login</th><th>what</th><th>from</th><th>request</th><th>browser</th></tr></thead>
<tbody>${one.visits.map((visit) => row(visit, one.loginAtMs))}</tbody></table></div>`;
}

function row({ atMs, kind, address, method, path, userAgent }: Visit, loginAtMs: number): Html {
  return html`<tr><td class="number">${since(atMs - loginAtMs)}</td><td><span class="kind ${kind}">${kind === 'gotcha' ? 'gotcha page' : 'refused'}</span></td>
<td><code>${address ?? 'unknown'}</code></td><td><code>${method} ${path}</code></td><td class="agent">${userAgent}</td></tr>`;
}

function since(ms: number): string {
  return ms < 10_000 ? `+${ms} ms` : `+${(ms / 1000).toFixed(0)} s`;
}

function clock(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}
