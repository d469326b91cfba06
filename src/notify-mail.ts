import type { IncidentRecord } from './domain/incident.ts';
import { countriesOf, hasEnded } from './domain/notification.ts';
import { deviceWords, placeWords, signInWords, timeWords } from './domain/plain-words.ts';
import type { Reason } from './domain/reasons.ts';

/** What a mail to the user may say. Nothing of it is text of the client's, but for the user id. */
export interface MailContext {
  readonly caseNumber: string;
  readonly userId: string;
  /** Of the site, e.g. `shop.example`. */
  readonly site: string;
  /** Why we ask: of `session_reused`, time, place and device are those of whoever came with the old session. */
  readonly reason: Reason;
  /** e.g. `22 November 2026, 08:03 UTC`. */
  readonly time: string;
  /** e.g. `Nigeria`. */
  readonly place: string;
  /** e.g. `Firefox on Windows`, or `an unknown device`. */
  readonly device: string;
  /** The session has been ended; else it was only noted. */
  readonly ended: boolean;
  /** A secret: whoever has it may answer. */
  readonly link: string;
  /** e.g. `29 November 2026, 08:03 UTC`. */
  readonly expires: string;
}

export interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export type RenderMail = (context: MailContext) => Mail;

export function mailContext(incident: IncidentRecord, link: string, expiresAtMs: number): MailContext {
  return {
    caseNumber: incident.id,
    userId: incident.userId,
    site: new URL(link).host,
    reason: incident.reason,
    time: timeWords(incident.loginAtMs),
    place: placeWords(countriesOf(incident).seen),
    device: deviceWords(incident.userAgent),
    ended: hasEnded(incident),
    link,
    expires: timeWords(expiresAtMs),
  };
}

/** "Was this you?", plain and as HTML with the same words. No picture, no style from elsewhere, one link. */
export function questionMail(context: MailContext): Mail {
  const { caseNumber, site, reason, time, place, device, ended, link, expires } = context;
  const done = ended
    ? 'To protect your account we ended that session. Nobody is signed in with it any more.'
    : 'We have not ended that session; please tell us whether it was you.';
  const facts: readonly (readonly [string, string])[] = [
    ['When', time],
    ['Where', place],
    ['With', device],
    ['Case number', caseNumber],
  ];
  const intro = signInWords(reason, `your account at ${site}`);
  const ask = 'Was this you? Open this page and press one of the two buttons there:';
  const end = `Opening the page changes nothing by itself. It can be used once, until ${expires}. If you did not sign in, change your password as well. We never ask for your password in a mail.`;
  const text = [intro, facts.map(([name, value]) => `${name}: ${value}`).join('\n'), done, ask, link, end];
  const rows = facts
    .map(([name, value]) => `<li><strong>${escapeHtml(name)}:</strong> ${escapeHtml(value)}</li>`)
    .join('');
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Was this you?</title></head>
<body><h1>Was this you?</h1><p>${escapeHtml(intro)}</p><ul>${rows}</ul><p>${escapeHtml(done)}</p>
<p>${escapeHtml(ask)}</p><p><a href="${escapeHtml(link)}">Tell us whether it was you</a></p><p>${escapeHtml(end)}</p></body></html>
`;
  const what = reason === 'session_reused' ? 'A session of' : 'A new sign-in to';
  return { subject: `Was this you? ${what} your account at ${site}`, text: `${text.join('\n\n')}\n`, html };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
