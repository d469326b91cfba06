/** The console's own pages to sign in, to say again who one is, and to sign out. */

import type { Hono } from 'hono';
import { csrfToken } from './access.ts';
import type { ConsoleEnv, Ctx, SignIn, SignInOutcome } from './env.ts';
import { takeFlash } from './flash.ts';
import { checkForm, cookieKey } from './forms.ts';
import { PostForm, page, seeOther } from './kit.tsx';
import { DESK, renderDocument } from './layout.tsx';
import { withQuery } from './paths.ts';

/** Only a page of ours: `//host` and `/\host` are elsewhere. */
export function safeBack(text: string | null | undefined): string {
  return text !== null && text !== undefined && /^\/(?![/\\])[\x21-\x7e]{0,1000}$/.test(text) && !text.includes('\\')
    ? text
    : '/';
}

/** For those who are not signed in: these come before everything that asks who one is. */
export function signInRoutes(app: Hono<ConsoleEnv>, door: SignIn): void {
  app.use('/sign-in', async (c, next) => {
    const key = cookieKey(c);
    c.set('csrf', csrfToken(key, ''));
    c.set('flashKey', key);
    c.set('flash', takeFlash(c));
    await next();
  });
  app.use('/sign-in', checkForm);
  app.get('/sign-in', (c) => signInPage(c, safeBack(c.req.query('back')), null));
  app.post('/sign-in', async (c) => {
    const { form } = c.var;
    const back = safeBack(form.get('back'));
    const outcome = await door.signIn(c.env, (form.get('name') ?? '').slice(0, 64), form.get('password') ?? '');
    return outcome.kind === 'ok' ? seeOther(c, back) : signInPage(c, back, outcome);
  });
}

/** For those who are. */
export function sessionRoutes(app: Hono<ConsoleEnv>, door: SignIn): void {
  app.get('/confirm', (c) => confirmPage(c, safeBack(c.req.query('back')), null));
  app.post('/confirm', async (c) => {
    const { form, actor } = c.var;
    const back = safeBack(form.get('back'));
    const outcome = await door.confirm(c.env, actor, form.get('password') ?? '');
    return outcome.kind === 'ok' ? seeOther(c, back) : confirmPage(c, back, outcome);
  });
  app.post('/sign-out', async (c) => {
    await door.signOut(c.env, c.var.actor);
    return seeOther(c, '/sign-in');
  });
}

export const confirmLink = (back: string) => withQuery('/confirm', { back });

type Refused = Exclude<SignInOutcome, { kind: 'ok' }> | null;

function statusOf(c: Ctx, refused: Refused): 200 | 401 | 429 {
  if (refused === null) return 200;
  if (refused.kind === 'refused') return 401;
  c.header('Retry-After', String(refused.retryAfterSeconds));
  return 429;
}

function Problem({ refused, wrong }: { refused: Refused; wrong: string }) {
  if (refused === null) return null;
  const minutes = refused.kind === 'limited' ? Math.max(1, Math.ceil(refused.retryAfterSeconds / 60)) : 0;
  return (
    <p role="alert" id="problem">
      {refused.kind === 'refused' ? wrong : `Too many attempts. Try again in ${minutes} min.`}
    </p>
  );
}

function signInPage(c: Ctx, back: string, refused: Refused): Promise<Response> {
  const body = (
    <article class="narrow">
      <p class="soft">{c.var.deps.title ?? DESK}</p>
      <h1>Sign in</h1>
      <Problem refused={refused} wrong="Name or password is wrong." />
      <form method="post" action={`${c.var.base}/sign-in`}>
        <input type="hidden" name="csrf" value={c.var.csrf} />
        <input type="hidden" name="back" value={back} />
        <label>
          Name
          <input type="text" name="name" required maxlength={64} autocomplete="username" autocapitalize="none" />
        </label>
        <label>
          Password
          <input type="password" name="password" required maxlength={256} autocomplete="current-password" />
        </label>
        <button type="submit">Sign in</button>
      </form>
    </article>
  );
  return renderDocument(c, { title: 'Sign in', status: statusOf(c, refused), brake: null }, body);
}

async function confirmPage(c: Ctx, back: string, refused: Refused): Promise<Response> {
  const body = (
    <article class="narrow">
      <h1>Confirm it is you</h1>
      <p>Ending sessions and giving them back ask for your password again. It holds for ten minutes.</p>
      <Problem refused={refused} wrong="The password is wrong." />
      <PostForm c={c} action="/confirm" values={{ back }}>
        <input type="text" autocomplete="username" value={c.var.actor.by} hidden readonly />
        <label>
          Password of {c.var.actor.by}
          <input type="password" name="password" required maxlength={256} autocomplete="current-password" />
        </label>
        <button type="submit">Confirm</button>
      </PostForm>
    </article>
  );
  const title = 'Confirm it is you';
  return refused === null
    ? page(c, { title }, body)
    : renderDocument(c, { title, status: statusOf(c, refused), brake: null }, body);
}
