/**
 * The app that is protected: express, express-session, and four lines of session-bouncer (marked). It knows nothing of
 * the stage around it: its addresses come from `X-Forwarded-For`, as behind any reverse proxy.
 */
import { randomBytes } from 'node:crypto';
import express, { type Express, type Request, type Response } from 'express';
import session from 'express-session';
import type { Bouncer } from '../../src/index.ts';
import { homePage } from './pages/home.ts';
import { type Html, page } from './pages/html.ts';
import { loginPage, USERS } from './pages/login.ts';
import { ICON, SCRIPT, STYLE } from './pages/static.ts';
import type { Review } from './review.ts';

declare module 'express-session' {
  interface SessionData {
    userId: string;
    address: string | null;
  }
}

export function createApp(bouncer: Bouncer, review: Review): Express {
  const app = express();
  app.disable('x-powered-by');
  staticFiles(app);
  // Before the session: the review desk is nobody's account.
  reviewDesk(app, bouncer, review);
  app.use(
    session({
      store: bouncer.store(session), // 1: the store in which the dead stay dead
      secret: randomBytes(32).toString('hex'),
      name: 'harbour.sid',
      resave: false,
      saveUninitialized: false,
      cookie: { sameSite: 'lax' },
    }),
  );
  app.use(bouncer.gate()); // 2: the gate, and the gotcha page
  account(app, bouncer);
  app.use((_error: unknown, _req: Request, res: Response, _next: () => void) => {
    res.status(500).type('text').send('Something went wrong.\n');
  });
  return app;
}

function account(app: Express, bouncer: Bouncer): void {
  app.get('/login', (_req, res) => send(res, loginPage()));
  app.post('/login', express.urlencoded({ extended: false, limit: '8kb' }), async (req, res) => {
    const userId = String((req.body as Record<string, unknown> | undefined)?.user);
    // This is a demo: who says alice, is alice. Here a real app checks the password.
    if (!USERS.includes(userId)) return send(res.status(400), loginPage('Choose one of the three people.'));
    const data = { userId, address: addressOf(bouncer, req) };
    const { saved } = await bouncer.login(req, { userId, data }); // 3: new session id, save, report
    if (!saved) return send(res.status(503), loginPage('The session could not be stored. Please try again.'));
    res.redirect(303, '/');
  });
  app.get('/', (req, res) => {
    const { userId, address } = req.session;
    if (userId === undefined) return res.redirect(303, '/login');
    send(res, homePage({ userId, address: address ?? null }));
  });
  app.get('/api/me', (req, res) => {
    const { userId } = req.session;
    res.set('Cache-Control', 'no-store');
    if (userId === undefined) return void res.status(401).json({ code: 'signed_out' });
    res.json({ user: userId, address: addressOf(bouncer, req) });
  });
  app.post('/logout', (req, res, next) => {
    req.session.destroy((error: unknown) => (error ? next(error) : res.redirect(303, '/login')));
  });
}

function addressOf(bouncer: Bouncer, req: Request): string | null {
  return bouncer.clientAddress({ peer: req.socket.remoteAddress, headers: req.headers });
}

/** Here whoever comes is the administrator. A real app looks into its own session and says `null` to everybody else. */
function reviewDesk(app: Express, bouncer: Bouncer, review: Review): void {
  app.use(
    '/desk',
    bouncer.console({ authorize: () => ({ role: 'admin', name: 'you' }), title: 'Harbour desk' }).express(),
  );
  app.get('/incidents.json', async (_req, res) => {
    res.set('Cache-Control', 'no-store').json(await review.read());
  });
}

function staticFiles(app: Express): void {
  const files = { '/demo.css': ['css', STYLE], '/demo.js': ['js', SCRIPT], '/favicon.ico': ['svg', ICON] } as const;
  for (const [path, [type, text]] of Object.entries(files)) {
    app.get(path, (_req, res) => void res.type(type).set('Cache-Control', 'no-cache').send(text));
  }
}

/** Everything shown is our own and same-origin; nothing inline runs, should an escape ever be forgotten. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

function send(res: Response, content: Html): void {
  res.set({
    'Content-Security-Policy': POLICY,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  });
  res.type('html').send(page(content));
}
