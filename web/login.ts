// Who may change something: whoever has the token that lies in the store's private folder. A browser trades it for a
// session, scripts send it with each request (RFC 6750). The only state that the web keeps.
// Always holds: a session is 32 random bytes, made at login and forgotten at logout; at most `MAX_SESSIONS` live;
// wrong tokens are counted by the address that sent them, and a few in a minute are the end of it for that address.
// The right token is taken also then: 256 bits are not guessed, and nobody can lock the owner out by failing.

import { timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { setCookie } from "hono/cookie";
import { createHash } from "node:crypto";
import { KeyedWindows } from "../protocol/bounds/rate_limit.ts";
import { problem } from "./problem.ts";
import { isOverTls, prefixOf } from "./proxy.ts";

/** Wrong tokens of one address in a minute. */
const TRIES_PER_MINUTE = 5;
const MAX_SESSIONS = 1_000;
/** A session that is not used for so long is over (a guess: a term's break). */
const SESSION_SECONDS = 30 * 86_400;
/** The cookie that pages of older peers know. */
export const OLD_COOKIE = "session_id";

export interface LoginOptions {
  /** Undefined: `--web-auth off`, everybody may do everything. */
  readonly token: string | undefined;
  /** `--web-read private`: nothing is shown without login. */
  readonly isPrivate: boolean;
  /** Cookies are shared by all ports of a host; this keeps the peers of one apart. */
  readonly cookie: string;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Every 401 names how to get in (RFC 9110, 15.5.2). */
export const CHALLENGE = 'Bearer realm="p2p-peer"';

export type LoginOutcome = "in" | "wrong" | "limited";

/** What an app is called with: the client's address. The rest is filled in by `proxied` (proxy.ts). */
export interface Env {
  Bindings: {
    readonly ip: string;
    readonly prefix?: string;
    /** The connection comes from a named proxy, or from this machine: something may have passed it on. */
    readonly isProxy?: boolean;
  };
}

export class Login {
  /** SHA-256 of each session, and when it was used last. */
  readonly #sessions = new Map<string, number>();
  readonly #tries = new KeyedWindows(TRIES_PER_MINUTE);

  constructor(readonly options: LoginOptions) {}

  /** Whether everybody may change everything. */
  get isOff(): boolean {
    return this.options.token === undefined;
  }

  /**
   * Logs in by token, and sets `cookie` to a new session. Browsers share cookies between all ports of a host (RFC
   * 6265, 8.5): where `cookie` holds something that is not ours, our own name is used instead.
   */
  enter(c: Context<Env>, token: string, cookie: string): LoginOutcome {
    const outcome = this.#check(c, token);
    if (outcome !== "in") return outcome;
    const isForeign = cookiesOf(c, cookie).some((value) => !this.#isSession(value));
    const name = isForeign ? this.options.cookie : cookie;
    this.leave(c, name);
    const session = crypto.getRandomValues(new Uint8Array(32)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MAX_SESSIONS) this.#sessions.delete(oldest!);
    this.#sessions.set(digest(session), this.options.now());
    setCookie(c, name, session, {
      path: `${prefixOf(c)}/`,
      httpOnly: true,
      secure: isOverTls(c),
      sameSite: "Strict",
      maxAge: SESSION_SECONDS,
    });
    return "in";
  }

  /**
   * Ends the sessions that the request carries, and expires their cookies, except for `kept`, which is about to be
   * set. Other programs' cookies stay.
   */
  leave(c: Context<Env>, kept?: string): void {
    for (const name of [this.options.cookie, OLD_COOKIE]) {
      const ended = cookiesOf(c, name).filter((session) => this.#sessions.delete(digest(session)));
      // Under a name that is ours alone, a session of an earlier run goes too.
      if (name === kept) continue;
      if (ended.length === 0 && (name === OLD_COOKIE || cookiesOf(c, name).length === 0)) continue;
      setCookie(c, name, "", {
        path: `${prefixOf(c)}/`,
        httpOnly: true,
        sameSite: "Strict",
        maxAge: 0,
      });
    }
  }

  /** Whether the request carries a session, or the token, also where nobody needs one. */
  hasLogin(c: Context<Env>): boolean {
    return this.#given(c) === "in";
  }

  /** Whether the request may change something. */
  isIn(c: Context<Env>): boolean {
    return this.#entry(c) === "in";
  }

  /** The refusal for who may not go on, or undefined. */
  refusal(c: Context<Env>): Response | undefined {
    const entry = this.#entry(c);
    if (entry === "in") return undefined;
    return entry === "limited" ? tooMany(c) : needed(c, entry);
  }

  #entry(c: Context<Env>): LoginOutcome | "unknown" {
    return this.isOff ? "in" : this.#given(c);
  }

  #given(c: Context<Env>): LoginOutcome | "unknown" {
    const bearer = /^Bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (bearer !== undefined) return this.#check(c, bearer);
    const sessions = [this.options.cookie, OLD_COOKIE].flatMap((name) => cookiesOf(c, name));
    return sessions.some((session) => this.#isSession(session)) ? "in" : "unknown";
  }

  #isSession(session: string): boolean {
    const key = digest(session);
    const usedMs = this.#sessions.get(key);
    if (usedMs === undefined) return false;
    const nowMs = this.options.now();
    this.#sessions.delete(key); // so that the one that was used longest ago stands first
    if (nowMs - usedMs > SESSION_SECONDS * 1000) return false;
    this.#sessions.set(key, nowMs);
    return true;
  }

  #check(c: Context<Env>, token: string): LoginOutcome {
    const { token: right, now } = this.options;
    if (right === undefined || isSame(token, right)) return "in";
    return this.#tries.take(c.env.ip, now()) ? "wrong" : "limited";
  }
}

/** Both are hashed, so that neither length nor beginning shows in the time. */
function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(x!, y!);
}

/** All values of a cookie: a browser sends several of one name where their paths differ. */
function cookiesOf(c: Context, name: string): string[] {
  return (c.req.header("cookie") ?? "").split(";").flatMap((pair) => {
    const [key, value] = pair.trim().split("=", 2);
    return key === name && value !== undefined ? [value] : [];
  });
}

const digest = (session: string) => createHash("sha256").update(session).digest("hex");

function needed(c: Context, entry: "wrong" | "unknown"): Response {
  const option = isReading(c)
    ? "--web-read open lets everyone read"
    : "--web-auth off lets everyone make changes";
  return problem(
    c,
    401,
    entry === "wrong" ? "Wrong token" : "Login required",
    `Open the link that "login" prints at the prompt, or send its token as "Authorization: Bearer TOKEN"; ${option}`,
    { "www-authenticate": CHALLENGE },
  );
}

function tooMany(c: Context): Response {
  return problem(
    c,
    429,
    "Too many wrong tokens from this address",
    'Wait a minute; "login" at the prompt prints the right one',
    { "retry-after": "60" },
  );
}

const isReading = (c: Context) => c.req.method === "GET" || c.req.method === "HEAD";

/** Answers a login that failed. */
export function loginRefused(c: Context, outcome: Exclude<LoginOutcome, "in">): Response {
  return outcome === "limited" ? tooMany(c) : needed(c, outcome);
}

/** Changes need a login; reading does where `--web-read private` says so. */
export function loginGuard(login: Login): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (isReading(c) && !login.options.isPrivate) return await next();
    return login.refusal(c) ?? await next();
  };
}
