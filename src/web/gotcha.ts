import { createHash } from 'node:crypto';

export interface GotchaContext {
  /** e.g. `K7QX-2M9F-4T8A`; null where the visitor brought none. Already checked for its shape. */
  readonly caseNumber: string | null;
  readonly loginUrl: string;
}

const STYLE = `:root{color-scheme:light dark;--ink:#1d2433;--soft:#5b6478;--card:#fff;--ground:#eef1f6;--go:#1f5fd0}
@media (prefers-color-scheme:dark){:root{--ink:#e8ebf2;--soft:#a3acc0;--card:#1c2230;--ground:#11151e;--go:#7aa7ff}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);
color:var(--ink);font:16px/1.6 system-ui,sans-serif;padding:1.5rem}
main{background:var(--card);max-width:32rem;padding:2.5rem;border-radius:1rem;box-shadow:0 8px 40px #0002}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}p{margin:.75rem 0}small,dt{color:var(--soft)}
dl{display:flex;gap:.75rem;margin:1.25rem 0}dd{margin:0;font-family:ui-monospace,monospace;letter-spacing:.05em}
a{display:inline-block;margin-top:.5rem;padding:.6rem 1.2rem;border-radius:.5rem;background:var(--go);color:var(--card);
text-decoration:none;font-weight:600}a:focus-visible{outline:3px solid var(--ink);outline-offset:2px}`;

/** Nothing may be loaded, framed or run: the page is one document with one known style. */
export const GOTCHA_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** Tells a thief nothing (not why, not whose, not how it was noticed) and gives the owner a way back. */
export function gotchaPage({ caseNumber, loginUrl }: GotchaContext): string {
  const number = caseNumber === null ? '' : `<dl><dt>Case number</dt><dd>${escapeHtml(caseNumber)}</dd></dl>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>You have been signed out</title><style>${STYLE}</style></head>
<body><main><h1>You have been signed out</h1>
<p>This session was ended to protect the account. If it is your account, nothing is lost: please sign in again.</p>
${number}<p><a href="${escapeHtml(loginUrl)}">Sign in again</a></p>
<p><small>If this keeps happening, tell the support of this site${caseNumber === null ? '' : ' the case number'}.</small></p>
</main></body></html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
