// What stands in the place of the page for who is not logged in, where `--web-read private` is set.

import { Layout } from "./layout.tsx";

export function LockedPage() {
  return (
    <Layout title="p2p-peer" module="locked" bodyClass="text">
      <main>
        <h1>A private peer</h1>
        <p>
          It shows itself after a login: open the link that <code>login</code> shows at its prompt.
        </p>
        <p id="said" role="status"></p>
      </main>
    </Layout>
  );
}
