// The API documentation as one self-contained page, rendered from the OpenAPI document on each request.

import { Layout } from "./layout.tsx";

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly security?: unknown;
  readonly parameters?: readonly Parameter[];
  readonly responses?: Readonly<Record<string, { readonly description?: string }>>;
}

interface Parameter {
  readonly name?: string;
  readonly in?: string;
  readonly required?: boolean;
  readonly schema?: { description?: string; enum?: readonly string[]; type?: string };
}

interface Props {
  readonly document: {
    readonly paths?: Readonly<Record<string, unknown>>;
    readonly servers?: readonly { url: string }[];
  };
}

/** Renders the page for `document`, the OpenAPI document. */
export function DocsPage({ document: { paths, servers } }: Props) {
  const base = servers?.[0]?.url ?? "";
  const operations = Object.entries(paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Readonly<Record<string, Operation>>).map(([method, operation]) => ({
      call: `${method.toUpperCase()} ${base}${path}`,
      operation,
    }))
  );
  return (
    <Layout title="API · p2p-peer" bodyClass="text" root="..">
      <header>
        <h1>API</h1>
        <p>
          For scripts:{" "}
          <a href="./v1/openapi.json">OpenAPI document</a>. Reading is open; changes need the token,
          sent as <code>Authorization: Bearer TOKEN</code>. To share a file:{" "}
          <code>curl -H "Authorization: Bearer TOKEN" -T FILE {base}/files/by-name/</code>
        </p>
      </header>
      <main>
        {operations.map(({ call, operation }) => <Route call={call} operation={operation} />)}
      </main>
    </Layout>
  );
}

function Route({ call, operation }: { readonly call: string; readonly operation: Operation }) {
  const { summary, description, security, parameters = [], responses = {} } = operation;
  return (
    <section>
      <h2>
        <code>{call}</code>
      </h2>
      <p>{summary}{security ? " · requires login" : ""}</p>
      {description && <p>{description}</p>}
      {parameters.length > 0 && (
        <ul>
          {parameters.map(({ name, in: place, required, schema }) => (
            <li>
              <code>{name}</code> ({place}
              {required ? "" : ", optional"}){" "}
              {schema?.enum?.join(", ") ?? schema?.description ?? schema?.type}
            </li>
          ))}
        </ul>
      )}
      <ul>
        {Object.entries(responses).map(([status, { description: words }]) => (
          <li>
            <code>{status}</code> {words}
          </li>
        ))}
      </ul>
    </section>
  );
}
