// The frame of every page of ours: one head, nothing inline but the import map, nothing from another host.

import { html, raw } from "hono/html";
import type { PropsWithChildren } from "hono/jsx";
import { IMPORT_MAP, PRELOADED } from "../assets.ts";

interface Frame {
  readonly title: string;
  /** The module that makes it live; without one it is text. */
  readonly module?: "page" | "locked";
  readonly bodyClass?: string;
  /** Without script it is asked for anew so often. */
  readonly refreshSeconds?: number;
}

export function Layout(
  { title, module, bodyClass, refreshSeconds, children }: PropsWithChildren<Frame>,
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
        <script src="/browser/theme.js"></script>
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        {module === "page" && (
          <>
            <link rel="stylesheet" href="/lib/uplot.css" />
            <script type="importmap">{raw(IMPORT_MAP)}</script>
            {PRELOADED.map((path) => <link rel="modulepreload" href={path} />)}
          </>
        )}
        {module && <script type="module" src={`/browser/${module}.js`}></script>}
      </head>
      <body class={bodyClass} data-tab="files">{children}</body>
    </html>
  )}`;
}
