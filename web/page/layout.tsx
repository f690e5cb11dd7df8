// The frame of all our pages: one head, nothing inline except the import map, nothing loaded from another host.

import { html, raw } from "hono/html";
import type { PropsWithChildren } from "hono/jsx";
import { IMPORT_MAP, PRELOADED } from "../assets.ts";

interface Frame {
  readonly title: string;
  /** Browser module that makes the page live. Without one, the page is static text. */
  readonly module?: "page" | "locked";
  readonly bodyClass?: string;
  /** Interval between reloads when JavaScript is off, in seconds. */
  readonly refreshSeconds?: number;
  /** Relative path from the page to the root of the peer's paths, without a trailing slash. */
  readonly root?: "." | "..";
}

export function Layout(
  { title, module, bodyClass, refreshSeconds, root = ".", children }: PropsWithChildren<Frame>,
) {
  return html`<!doctype html>${(
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        {refreshSeconds !== undefined && (
          <noscript>
            <meta http-equiv="refresh" content={String(refreshSeconds)} />
          </noscript>
        )}
        <script src={`${root}/browser/theme.js`}></script>
        <link rel="stylesheet" href={`${root}/style.css`} />
        <link rel="icon" href={`${root}/icon.svg`} type="image/svg+xml" />
        {module === "page" && (
          <>
            <link rel="stylesheet" href={`${root}/lib/uplot.css`} />
            <script type="importmap">{raw(IMPORT_MAP)}</script>
            {PRELOADED.map((path) => <link rel="modulepreload" href={root + path} />)}
          </>
        )}
        {module && <script type="module" src={`${root}/browser/${module}.js`}></script>}
      </head>
      <body class={bodyClass} data-tab="files">{children}</body>
    </html>
  )}`;
}
