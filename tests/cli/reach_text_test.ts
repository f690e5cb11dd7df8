// What people are told about connections to their peer: who says what, and what helps.

import { ok, strictEqual } from "node:assert/strict";
import { type ReachFacts, reachTrouble } from "../../cli/reach_text.ts";
import type { Seen } from "../../protocol/wire/ext.ts";

const OWN = "10.9.0.2";
const facts = (reports: readonly Seen[], over: Partial<ReachFacts> = {}): ReachFacts => ({
  address: { host: OWN, port: 8115 },
  isChosen: false,
  ownIps: [OWN, "fd00::2"],
  reports,
  through: [],
  ...over,
});
const seen = (outcome?: Seen["outcome"], ip = OWN): Seen => ({
  ip,
  ...(outcome ? { outcome } : {}),
});

Deno.test("nothing is said without a report, and nothing for those that reach us or have not tried", () => {
  strictEqual(reachTrouble(facts([])), undefined);
  strictEqual(reachTrouble(facts([seen("reached"), seen()])), undefined);
});

Deno.test("a firewall is named with its port, how it answers, and through whom others fetch until then", () => {
  const trouble = reachTrouble(
    facts([seen("silent"), seen("silent"), seen("silent")], { through: ["ann", "bob", "cat"] }),
  );
  strictEqual(
    trouble?.text,
    "3 peers cannot connect to 10.9.0.2:8115 (timed out). Open TCP port 8115 in this machine's firewall; " +
      "until then you can fetch, and others fetch from you through connections that this peer keeps open to ann, bob and cat",
  );
  const one = reachTrouble(facts([seen("refused")]));
  ok(one?.text.startsWith("1 peer cannot connect to 10.9.0.2:8115 (refused). Open TCP port 8115"));
  ok(one?.text.endsWith("until then you can fetch, but nobody can fetch from you"));
  const mixed = reachTrouble(facts([seen("refused"), seen("silent")]));
  ok(mixed?.text.startsWith("2 peers cannot connect to 10.9.0.2:8115. Open"), mixed?.text);
});

Deno.test("a router is named with the address that others see, whether or not they could dial", () => {
  for (const outcome of ["other", "silent", undefined] as const) {
    const { cause, text } = reachTrouble(facts([seen(outcome, "203.0.113.7")]))!;
    strictEqual(cause, "router");
    ok(
      /and sees this machine at 203\.0\.113\.7, so it is behind a router\. Forward TCP port 8115/
        .test(
          text,
        ),
      text,
    );
  }
  const other = reachTrouble(facts([seen("other", "203.0.113.7")]))!;
  ok(other.text.includes("(somebody else answers there)"));
});

Deno.test("a peer that advertises its router is not behind another one: connections are not forwarded", () => {
  const address = { host: "203.0.113.7", port: 8115 };
  const { cause } = reachTrouble(
    facts([seen("refused", "203.0.113.7")], { address, isChosen: true }),
  )!;
  strictEqual(cause, "firewall");
});

Deno.test("a host that was chosen and is not this machine's is the first thing to change", () => {
  const address = { host: "10.9.0.99", port: 8115 };
  const { cause, text } = reachTrouble(facts([seen("silent")], { address, isChosen: true }))!;
  strictEqual(cause, "host");
  ok(
    /which is not an address of this machine\. Start this peer with 10\.9\.0\.2 instead;/.test(
      text,
    ),
    text,
  );
});

Deno.test("what most say counts, and no name can add characters of its own", () => {
  const { cause, peers, text } = reachTrouble(
    facts([seen("silent"), seen("other", "203.0.113.7"), seen("silent")], {
      through: ["a\u001b[2Jb"],
    }),
  )!;
  strictEqual(cause, "firewall");
  strictEqual(peers, 2);
  // deno-lint-ignore no-control-regex -- that is what must not be there
  ok(!/[\u0000-\u001f]/.test(text), text);
});
