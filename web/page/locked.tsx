// Replaces the page for visitors who are not logged in when `--web-read private` is set.

import { Layout } from "./layout.tsx";

export function LockedPage() {
  return (
    <Layout title="p2p-peer" module="locked" bodyClass="text">
      <main>
        <h1>Private peer</h1>
        <p>
          Log in to see this page: open the link that <code>login</code>{" "}
          prints at the peer's prompt, or paste it here, or the token in it.
        </p>
        <form id="token" class="token">
          <label>
            Token, or the link with it
            <input type="password" required autocomplete="current-password" />
          </label>
          <button type="submit" class="main">Log in</button>
        </form>
        <p id="said" role="status"></p>
      </main>
    </Layout>
  );
}
