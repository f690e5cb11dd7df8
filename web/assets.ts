// What a browser loads besides the page itself: our own modules, styles, and libraries, as text. Everything is embedded
// in the executable; nothing is loaded from another host, and the repository contains no copies of libraries.

import { createHash } from "node:crypto";
import type { Context } from "hono";
import type { Env } from "./env.ts";
import { isKnown } from "./preconditions.ts";
import icon from "./icon.svg" with { type: "text" };
import base from "./style/base.css" with { type: "text" };
import filesStyle from "./style/files.css" with { type: "text" };
import movingStyle from "./style/moving.css" with { type: "text" };
import networkStyle from "./style/network.css" with { type: "text" };
import over from "./style/over.css" with { type: "text" };
import paceStyle from "./style/pace.css" with { type: "text" };
import pageStyle from "./style/page.css" with { type: "text" };
import phone from "./style/phone.css" with { type: "text" };
import actions from "./browser/actions.js" with { type: "text" };
import api from "./browser/api.js" with { type: "text" };
import chart from "./browser/chart.js" with { type: "text" };
import code from "./browser/code.js" with { type: "text" };
import dialogs from "./browser/dialogs.js" with { type: "text" };
import loggingin from "./browser/loggingin.js" with { type: "text" };
import onphone from "./browser/onphone.js" with { type: "text" };
import token from "./browser/token.js" with { type: "text" };
import collect from "./browser/collect.js" with { type: "text" };
import deleted from "./browser/deleted.js" with { type: "text" };
import details from "./browser/details.js" with { type: "text" };
import dom from "./browser/dom.js" with { type: "text" };
import figures from "./browser/figures.js" with { type: "text" };
import filelist from "./shared/filelist.js" with { type: "text" };
import filerow from "./browser/filerow.js" with { type: "text" };
import filetools from "./browser/filetools.js" with { type: "text" };
import files from "./browser/files.js" with { type: "text" };
import filewindow from "./browser/filewindow.js" with { type: "text" };
import keys from "./browser/keys.js" with { type: "text" };
import layout from "./browser/layout.js" with { type: "text" };
import live from "./browser/live.js" with { type: "text" };
import locked from "./browser/locked.js" with { type: "text" };
import map from "./browser/map.js" with { type: "text" };
import matrix from "./browser/matrix.js" with { type: "text" };
import moving from "./browser/moving.js" with { type: "text" };
import notices from "./browser/notices.js" with { type: "text" };
import pace from "./browser/pace.js" with { type: "text" };
import page from "./browser/page.js" with { type: "text" };
import addpeer from "./browser/addpeer.js" with { type: "text" };
import peers from "./browser/peers.js" with { type: "text" };
import place from "./browser/place.js" with { type: "text" };
import putaway from "./browser/putaway.js" with { type: "text" };
import rates from "./browser/rates.js" with { type: "text" };
import resuming from "./browser/resuming.js" with { type: "text" };
import rowspace from "./browser/rowspace.js" with { type: "text" };
import safety from "./shared/safety.js" with { type: "text" };
import sending from "./browser/sending.js" with { type: "text" };
import session from "./browser/session.js" with { type: "text" };
import share from "./browser/share.js" with { type: "text" };
import sharefolder from "./browser/sharefolder.js" with { type: "text" };
import shell from "./browser/shell.js" with { type: "text" };
import theme from "./browser/theme.js" with { type: "text" };
import transferwords from "./shared/transferwords.js" with { type: "text" };
import words from "./shared/words.js" with { type: "text" };
import d3Dispatch from "d3-dispatch" with { type: "text" };
import d3Force from "d3-force" with { type: "text" };
import d3Quadtree from "d3-quadtree" with { type: "text" };
import d3Timer from "d3-timer" with { type: "text" };
import uplotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import uqr from "uqr" with { type: "text" };

/** Modules that the peer process uses too. The browser loads them from `/shared`. */
const SHARED: Readonly<Record<string, string>> = { filelist, safety, transferwords, words };

/** Browser-only modules, by file name without the extension. */
const BROWSER: Readonly<Record<string, string>> = {
  actions,
  api,
  chart,
  code,
  dialogs,
  loggingin,
  onphone,
  token,
  collect,
  deleted,
  details,
  dom,
  figures,
  filerow,
  filetools,
  files,
  filewindow,
  keys,
  layout,
  live,
  locked,
  map,
  matrix,
  moving,
  notices,
  pace,
  page,
  addpeer,
  peers,
  place,
  putaway,
  rates,
  resuming,
  rowspace,
  sending,
  session,
  share,
  sharefolder,
  shell,
  theme,
};

/** Libraries, by import name. uPlot's minified build is a classic script; one added line makes it a module. */
const LIBRARIES: Readonly<Record<string, string>> = {
  "d3-dispatch": d3Dispatch,
  "d3-force": d3Force,
  "d3-quadtree": d3Quadtree,
  "d3-timer": d3Timer,
  uplot: `${uplotScript}\nexport default uPlot;\n`,
  uqr,
};

/** The page's import map. It is inline, so the content policy allows it by its hash. */
export const IMPORT_MAP = JSON.stringify({
  imports: Object.fromEntries(Object.keys(LIBRARIES).map((name) => [name, `./lib/${name}.js`])),
});

/** `'sha256-…'` source of the import map, for `script-src`. */
export const IMPORT_MAP_HASH = `'sha256-${
  createHash("sha256").update(IMPORT_MAP).digest("base64")
}'`;

/** Modules that are loaded when somebody does what they are for, or on another page. */
const ON_DEMAND = [
  "addpeer",
  "deleted",
  "dialogs",
  "locked",
  "loggingin",
  "pace",
  "onphone",
  "resuming",
  "theme",
  "token",
];

/** Paths of the modules that the page preloads, so that the browser need not discover them one by one. */
export const PRELOADED: readonly string[] = [
  ...Object.keys(BROWSER).filter((name) => !ON_DEMAND.includes(name))
    .map((name) => `/browser/${name}.js`),
  ...Object.keys(SHARED).map((name) => `/shared/${name}.js`),
];

interface Asset {
  readonly text: string;
  readonly type: string;
}

const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/**
 * Returns one of our scripts or styles without its whole-line comments and its indentation, a third of its size. Line numbers do not
 * change, so stack traces from a browser match the sources. Code is never touched: no text in it has more than one line.
 */
export const bare = (text: string) =>
  text.replace(/^[ \t]*\/\/.*$/gm, "")
    .replace(
      /^[ \t]*\/\*(?:(?!\*\/)[^])*\*\/[ \t]*$/gm,
      (comment) => comment.replace(/[^\n]+/g, ""),
    )
    .replace(/^[ \t]+/gm, "");

/** Styles in cascade order: later ones override earlier ones. */
const STYLES = [base, pageStyle, filesStyle, movingStyle, networkStyle, over, phone];

function* assets(): Iterable<[path: string, asset: Asset]> {
  // In styles, no line has a meaning of its own, and nothing needs its number.
  const style = bare(STYLES.join("\n")).replace(/\n\s+/g, "\n");
  yield ["/style.css", { text: style, type: STYLE }];
  yield ["/lib/pace.css", { text: bare(paceStyle).replace(/\n\s+/g, "\n"), type: STYLE }];
  yield ["/lib/uplot.css", { text: uplotStyle, type: STYLE }];
  yield ["/icon.svg", { text: icon, type: "image/svg+xml" }];
  for (const [name, text] of Object.entries(BROWSER)) {
    yield [`/browser/${name}.js`, { text: bare(text), type: SCRIPT }];
  }
  for (const [name, text] of Object.entries(SHARED)) {
    yield [`/shared/${name}.js`, { text: bare(text), type: SCRIPT }];
  }
  for (const [name, text] of Object.entries(LIBRARIES)) {
    yield [`/lib/${name}.js`, { text, type: SCRIPT }];
  }
}

/** Assets by path. */
const served = new Map([...assets()].map(([path, { text, type }]) => {
  const etag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 16)}"`;
  const headers = { "content-type": type, etag, "cache-control": "no-cache" };
  return [path, { text, etag, headers }];
}));

/**
 * Returns the asset at the requested path, or undefined if there is none. Browsers revalidate their copy each time, so
 * modules of different versions are never mixed.
 */
export function serveAsset(c: Context<Env>): Response | undefined {
  const asset = served.get(c.req.path);
  if (asset === undefined) return undefined;
  const { text, etag, headers } = asset;
  return isKnown(c.req.header("if-none-match"), etag)
    ? c.body(null, 304, headers)
    : c.body(text, 200, headers);
}
