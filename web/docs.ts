// The API on a page that needs nothing else: made from its description at each request.

import { html } from "hono/html";

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly security?: unknown;
  readonly parameters?: readonly unknown[];
  readonly responses?: Readonly<Record<string, unknown>>;
}

/** The page; `document` is the OpenAPI document. */
export function docsPage(
  { paths, servers }: {
    paths?: Readonly<Record<string, unknown>>;
    servers?: readonly { url: string }[];
  },
) {
  const base = servers?.[0]?.url ?? "";
  const operations = Object.entries(paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Readonly<Record<string, Operation>>).map(([method, operation]) => ({
      path: base + path,
      method: method.toUpperCase(),
      operation,
    }))
  );
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>API · p2p-peer</title>
        <link rel="stylesheet" href="/style.css">
        <link rel="icon" href="/icon.svg" type="image/svg+xml">
      </head>
      <body>
        <header>
          <h1>API</h1>
          <p>For scripts: <a href="/api/v1/openapi.json">OpenAPI document</a>. Reading is open; what changes
            something needs the token, as <code>Authorization: Bearer TOKEN</code>. Share a file with
            <code>curl -H "Authorization: Bearer TOKEN" -T FILE ${base}/files/by-name/</code></p>
        </header>
        <main>
          ${operations.map(({ path, method, operation }) =>
            html`
              <section class="operation">
                <h2><code>${method} ${path}</code></h2>
                <p>${operation.summary ?? ""}${operation.security ? " · needs a login" : ""}</p>
                ${operation.description ? html`<p>${operation.description}</p>` : ""}
                ${parametersOf(operation)} ${responsesOf(operation)}
              </section>
            `
          )}
        </main>
      </body>
    </html>
  `;
}

function parametersOf({ parameters = [] }: Operation) {
  if (parameters.length === 0) return "";
  const rows = parameters as readonly {
    name?: string;
    in?: string;
    required?: boolean;
    schema?: { description?: string; enum?: readonly string[]; type?: string };
  }[];
  return html`<ul>${
    rows.map((row) =>
      html`<li><code>${row.name}</code> (${row.in}${row.required ? "" : ", optional"}) ${
        row.schema?.enum?.join(", ") ?? row.schema?.description ?? row.schema?.type ?? ""
      }</li>`
    )
  }</ul>`;
}

function responsesOf({ responses = {} }: Operation) {
  const rows = Object.entries(responses) as [string, { description?: string }][];
  return html`<ul>${
    rows.map(([status, { description }]) =>
      html`<li><code>${status}</code> ${description ?? ""}</li>`
    )
  }</ul>`;
}
