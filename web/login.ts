// Who may make changes: anyone with the token stored in the store's private folder. Browsers exchange it for a session;
// scripts send it with each request (RFC 6750). Sessions are the only state that the web part keeps.
// Invariants: a session is 32 random bytes, created at login and forgotten at logout; at most `MAX_SESSIONS` exist;
// wrong tokens are counted per client address, and after a few in a minute that address gets 429. The right token still
// works then: 256 bits cannot be guessed, and nobody can lock the owner out with failed attempts.

import { timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { setCookie } from "hono/cookie";
import { createHash } from "node:crypto";
import { KeyedWindows } from "../protocol/bounds/rate_limit.ts";
import type { Env } from "./env.ts";
import { problem } from "./problem.ts";
import { isOverTls, prefixOf } from "./proxy.ts";

/** Wrong tokens allowed per address and minute. */
const TRIES_PER_MINUTE = 5;
const MAX_SESSIONS = 1_000;
/** How long an unused session lasts, in seconds. (A guess: a break between terms.) */
const SESSION_SECONDS = 30 * 86_400;
/** Name of the cookie that older peers' pages use. */
export const OLD_COOKIE = "session_id";

export interface LoginOptions {
  /** Undefined with `--web-auth off`: everyone may do everything. */
  readonly token: string | undefined;
  /** Set by `--web-read private`: nothing is shown without a login. */
  readonly isPrivate: boolean;
  /** Name of the session cookie. All ports of a host share cookies, so each peer on it needs its own name. */
  readonly cookie: string;
  /** Returns the current time in Unix milliseconds. */
  readonly now: () => number;
  /** Called when a login is refused, or a session ended, because there are too many. */
  readonly onOverload?: ((overload: "logins-refused" | "sessions-ended") => void) | undefined;
  /** Called when somebody at this address logs in with the token. */
  readonly onLogin?: ((ip: string) => void) | undefined;
}

/** Challenge sent with every 401 (RFC 9110, 15.5.2). */
export const CHALLENGE = 'Bearer realm="p2p-peer"';

export type LoginOutcome = "in" | "wrong" | "limited";

export class Login {
  /** When each session was last used in Unix milliseconds, by its SHA-256. */
  readonly #sessions = new Map<string, number>();
  readonly #tries = new KeyedWindows(TRIES_PER_MINUTE);

  constructor(readonly options: LoginOptions) {}

  /** Whether everyone may change everything. */
  get isOff(): boolean {
    return this.options.token === undefined;
  }

  /**
   * Logs in with a token and sets `cookie` to a new session. Browsers share cookies between all ports of a host (RFC
   * 6265, 8.5), so if `cookie` already holds a foreign value, our own cookie name is used instead.
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
    if (this.#sessions.size >= MAX_SESSIONS) {
      this.#sessions.delete(oldest!);
      this.options.onOverload?.("sessions-ended");
    }
    this.#sessions.set(digest(session), this.options.now());
    this.options.onLogin?.(c.env.ip);
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
   * Ends the sessions that the request carries and expires their cookies, except `kept`, which is about to be set.
   * Leaves other programs' cookies alone.
   */
  leave(c: Context<Env>, kept?: string): void {
    for (const name of [this.options.cookie, OLD_COOKIE]) {
      const ended = cookiesOf(c, name).filter((session) => this.#sessions.delete(digest(session)));
      // Under a name that only we use, a session left over from an earlier run is expired too.
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

  /** Returns whether the request carries a valid session or token, even if no login is needed. */
  hasLogin(c: Context<Env>): boolean {
    return this.#given(c) === "in";
  }

  /** Returns whether the request may make changes. */
  isIn(c: Context<Env>): boolean {
    return this.#entry(c) === "in";
  }

  /** Returns an error response if the request is not allowed, or undefined. */
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
    this.#sessions.delete(key); // keeps the least recently used session first
    if (nowMs - usedMs > SESSION_SECONDS * 1000) return false;
    this.#sessions.set(key, nowMs);
    return true;
  }

  #check(c: Context<Env>, token: string): LoginOutcome {
    const { token: right, now } = this.options;
    if (right === undefined || isSame(token, right)) return "in";
    if (this.#tries.take(c.env.ip, now())) return "wrong";
    this.options.onOverload?.("logins-refused");
    return "limited";
  }
}

/** Compares two tokens. Both are hashed first, so that timing reveals neither length nor prefix. */
function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(x!, y!);
}

/** Returns all values of a cookie: a browser may send several with the same name if their paths differ. */
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

/** Returns the error response for a failed login. */
export function loginRefused(c: Context, outcome: Exclude<LoginOutcome, "in">): Response {
  return outcome === "limited" ? tooMany(c) : needed(c, outcome);
}

/** Requires a login for changes, and with `--web-read private` for reading too. */
export function loginGuard(login: Login): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (isReading(c) && !login.options.isPrivate) return await next();
    return login.refusal(c) ?? await next();
  };
}
