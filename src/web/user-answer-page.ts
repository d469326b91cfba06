import { createHash } from 'node:crypto';
import type { IncidentRecord } from '../domain/incident.ts';
import { countriesOf } from '../domain/notification.ts';
import { placeWords, signInWords, timeWords } from '../domain/plain-words.ts';
import { escapeHtml } from './gotcha.ts';

const STYLE = `:root{color-scheme:light dark;--ink:#1d2433;--soft:#5b6478;--card:#fff;--ground:#eef1f6;--go:#1f5fd0;--stop:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e8ebf2;--soft:#a3acc0;--card:#1c2230;--ground:#11151e;--go:#7aa7ff;--stop:#ff9a92}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);
color:var(--ink);font:16px/1.6 system-ui,sans-serif;padding:1rem}
main{background:var(--card);max-width:34rem;padding:2rem;border-radius:1rem;box-shadow:0 8px 40px #0002}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}p{margin:.75rem 0}small,dt{color:var(--soft)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem .75rem;margin:1.25rem 0}dd{margin:0}
form{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.25rem}
button{font:inherit;font-weight:600;padding:.7rem 1.2rem;border:0;border-radius:.5rem;background:var(--go);color:var(--card);cursor:pointer}
button.no{background:var(--stop)}button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}`;

/** Nothing may be loaded, framed or run, and the link, which is a secret, is told to nobody. */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
};

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1>
${body}
</main></body></html>
`;
}

/** Time and country, as in the mail; no address and no name: mails are forwarded, and pages are read over shoulders. */
export function questionPage(incident: IncidentRecord, token: string): string {
  const facts: readonly (readonly [string, string])[] = [
    ['When', timeWords(incident.loginAtMs)],
    ['Where', placeWords(countriesOf(incident).seen)],
    ['Case number', incident.id],
  ];
  const rows = facts.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join('');
  // The token goes on in the body: the address of the answer then holds no secret. `?` takes it out of the query.
  return page(
    'Was this you?',
    `<p>${escapeHtml(signInWords(incident.reason, 'your account'))}</p><dl>${rows}</dl>
<form method="post" action="?"><input type="hidden" name="t" value="${escapeHtml(token)}">
<button name="answer" value="yes">Yes, it was me</button> <button class="no" name="answer" value="no">No, it was not me</button></form>
<p><small>Nothing happens until you press a button. You can answer once.</small></p>`,
  );
}

export type Said = 'yes' | 'no';

/** Promises nothing about what was done: that is the analyst's and the configuration's business. */
export function thanksPage(said: Said): string {
  if (said === 'yes') {
    return page('Thank you', '<p>We noted that it was you. If you were signed out, you can sign in again now.</p>');
  }
  return page(
    'Thank you',
    '<p>We noted that it was not you. Please change your password now, and also where you use the same one.</p>',
  );
}

export const CLOSED_PAGE = page(
  'Already answered',
  '<p>This case has been answered before. Nothing was changed. If the answer was wrong, tell the support of this site.</p>',
);

/** The same for every reason: whoever tries links learns nothing from it. */
export const INVALID_PAGE = page(
  'This link does not work',
  '<p>It has been used, has expired, or is incomplete. Nothing was changed. If you are worried about your account, change your password and tell the support of this site.</p>',
);

export const LATER_PAGE = page(
  'Please try again later',
  '<p>We could not take your answer just now. Please open the link from your mail again in a few minutes.</p>',
);

export const METHOD_PAGE = page('This does not work', '<p>Please open the link from your mail in a browser.</p>');
