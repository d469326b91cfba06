/** What every page of the console finds in its context. Types only. */

import type { Context } from 'hono';
import type { Actor, Desk } from '../desk-ports.ts';
import type { Clock, Log } from '../ports.ts';

/** What a request came with: who mounted the console where, and the framework's own request. */
export interface ConsoleBindings {
  /** Where the console is mounted, without a slash at the end; '' at the root. */
  readonly base: string;
  /** The app's own request object (of express, fastify, koa, hono, Node), for its `authorize`. */
  readonly native?: unknown;
  /** How this request reached us; decides about `__Host-` cookies. */
  readonly secure?: boolean | undefined;
}

/** Who sends this request, as far as the app (or the console's own sign-in) says. */
export interface Access {
  readonly actor: Actor;
  /** Has this person proved lately who they are? Ending sessions and the like asks for it. */
  readonly fresh: boolean;
  /** What form tokens are bound to: a secret of this person's session; null: a cookie of the console's own. */
  readonly csrfKey: string | null;
}

export type SignInOutcome =
  | { readonly kind: 'ok'; readonly actor: Actor }
  | { readonly kind: 'refused' }
  | { readonly kind: 'limited'; readonly retryAfterSeconds: number };

/** What the pages of the console's own sign-in need. Each may throw when Redis is away. */
export interface SignIn {
  /** Begins a session under a new id. */
  signIn(env: ConsoleBindings, name: string, password: string): Promise<SignInOutcome>;
  /** The person who is signed in gives the password again. */
  confirm(env: ConsoleBindings, actor: Actor, password: string): Promise<SignInOutcome>;
  signOut(env: ConsoleBindings, actor: Actor): Promise<void>;
}

export interface ConsoleDeps {
  readonly desk: Desk;
  /** Null: nobody we know (401). A response: that instead, e.g. a redirect to a sign-in page. */
  authorize(request: Request, env: ConsoleBindings): Promise<Access | Response | null>;
  readonly clock: Clock;
  readonly log: Log;
  /** At the head of every page. Default `Review desk`. */
  readonly title?: string | undefined;
  /** Where a person proves again who they are, as a link's target, and then comes `back` (a path of this site). */
  readonly reauthenticate?: ((back: string) => string) | undefined;
  /** Accounts of the console's own: pages to sign in, to confirm and to sign out. Left out where the app has its own. */
  readonly signIn?: SignIn | undefined;
}

export interface ConsoleVariables {
  actor: Actor;
  /** The token that every form carries: see `PostForm`. */
  csrf: string;
  /** As `ConsoleBindings.base`: put before every link. */
  base: string;
  desk: Desk;
  nowMs: number;
  /** See `Access.fresh`. */
  fresh: boolean;
  /** Of a POST: the form's fields, at most 64 KiB, already checked for their token. */
  form: URLSearchParams;
  /** What `seeOther` left for this page to say. */
  flash: string | null;
  /** Keys the flash message of this person. */
  flashKey: string;
  deps: ConsoleDeps;
}

export interface ConsoleEnv {
  Bindings: ConsoleBindings;
  Variables: ConsoleVariables;
}

export type Ctx = Context<ConsoleEnv>;
