import type { ExpressRequest, ExpressResponse } from './express-types.ts';
import { guardedRequest } from './guard-context.ts';
import { isBouncerStore } from './session-store.ts';

type SetHeader = ExpressResponse['setHeader'];
/** What Express and Node say of a response besides. */
type Response = ExpressResponse & {
  readonly req?: ExpressRequest;
  readonly app?: { readonly response?: object; readonly parent?: object };
};

const SET_COOKIE = 'set-cookie';
const ours = new WeakSet<SetHeader>();
/** By session stores: their session cookie's name, where it is known. */
const names = new WeakMap<object, string>();

/**
 * express-session decides about its cookie before it saves, and asks nobody. So the header is looked at when it is set: the
 * cookie of this request's session goes out only where it may.
 *
 * Express makes each response a shape of its own in V8, and another property on it costs as much as all else in the gate. So
 * where there is an app, its responses' prototype, which is there to be extended, is given our `setHeader`, once.
 */
export function nameOnly(req: ExpressRequest, res: Response, name: string | null): void {
  const { sessionStore: store } = req;
  if (name !== null && store && names.get(store) !== name) names.set(store, name);
  if (ours.has(res.setHeader)) return;
  const shared = Object.getPrototypeOf(res) as Response;
  // A mounted app's prototype is taken off again where it passes the request back to its parent.
  const { app } = res;
  if (shared === app?.response && app.parent === undefined && res.req === req && !Object.hasOwn(res, 'setHeader')) {
    shared.setHeader = looking(shared.setHeader, null);
    ours.add(shared.setHeader);
  } else {
    res.setHeader = looking(res.setHeader, req);
  }
}

function looking(setHeader: SetHeader, ofThis: ExpressRequest | null): SetHeader {
  return function look(this: Response, header, value) {
    const req = ofThis ?? this.req;
    // Every header of every answer comes by here.
    const isCookie = header.length === SET_COOKIE.length && header.toLowerCase() === SET_COOKIE;
    return setHeader.call(this, header, isCookie && req ? namedOnly(req, value) : value);
  };
}

/** Less the cookie of this request's session, where that may not go out. */
function namedOnly(req: ExpressRequest, value: string | readonly string[]): string | readonly string[] {
  const id = encodeURIComponent(req.sessionID ?? '');
  const name = (req.sessionStore && names.get(req.sessionStore)) ?? null;
  const lines = typeof value === 'string' ? [value] : value;
  // `name=s:id.signature`, escaped; where we do not know the name, no other cookie looks like that.
  const isOfSession = (line: string) => {
    const at = line.indexOf('=');
    return id !== '' && (name ?? line.slice(0, at)) === line.slice(0, at) && line.startsWith(`s%3A${id}.`, at + 1);
  };
  const hold = lines.some(isOfSession) && !mayName(req);
  return hold ? lines.filter((line) => !isOfSession(line)) : value;
}

function mayName(req: ExpressRequest): boolean {
  const store = req.sessionStore;
  if (isBouncerStore(store)) return store.mayName(req.session as object | undefined);
  const guarded = guardedRequest(req);
  if (guarded?.isLeftEmpty(req.sessionID ?? '')) return false;
  const entry = guarded?.entry() ?? null;
  return entry === null || (guarded?.mayName?.(entry) ?? true);
}
