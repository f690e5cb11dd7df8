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
  /** From the page's own path to where the peer's paths start, without a final slash. */
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
