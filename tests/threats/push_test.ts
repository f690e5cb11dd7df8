// Threat 10 in docs/SECURITY-TESTS.md: an endless stream of unsolicited pushes. They are verified, and kept only within quota
// and rate limit. Refusals are counted, and an honest peer can get and push files meanwhile.

import { ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED, together } from "../process/together.ts";
import type { ForeignFile } from "../wire/foreign.ts";
import { ALONE, bring, dataOf, randomFile, refusals, servedDuring, shownIn } from "./scene.ts";

/** Pushes from one address, several at once, and ignores refusals. */
function pushAll(program: Program, files: readonly ForeignFile[], from: string): Promise<void> {
  return forEachOf(files, (file) => bring(program, dataOf(file), from), 8);
}

function bytesIn(store: string, prefix: string): { files: number; bytes: number } {
  const sizes = shownIn(store).filter((name) => name.startsWith(prefix))
    .map((name) => Deno.statSync(`${store}/${name}`).size);
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

Deno.test(
  "threat 10: of 1,000 pushes, no more than the quota is stored on disk, and the rate limit holds for one address",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await folder.folder("quota");
    await folder.folder("rate");
    const quotaBytes = 100 * 1024;
    const quick = ["--push-rate", "100000", "--push-burst", "100000"];
    await using quota = await Program.peer(
      "kashifm",
      [...ALONE, "--push-quota", `${quotaBytes}`, ...quick],
      { cwd: folder.at("quota") },
    );
    await using rate = await Program.peer("kashifm", ALONE, { cwd: folder.at("rate") });
    await using besideQuota = await Honest.beside(quota);
    await using besideRate = await Honest.beside(rate);
    const files = Array.from({ length: 1_000 }, (_, i) => randomFile(`flood-${i}.bin`, "eve", 600));

    const began = performance.now();
    await together([
      servedDuring(besideQuota, pushAll(quota, files, "127.0.0.66")),
      besideRate.during(pushAll(rate, files.slice(0, 300), "127.0.0.66")),
    ]);
    const seconds = (performance.now() - began) / 1_000;

    const kept = bytesIn(folder.at("quota", "storage_kashifm"), "flood");
    const honestBytes = besideQuota.file.content.length;
    ok(kept.bytes > 0, `Nothing was kept. ${quota.report()}`);
    ok(
      kept.bytes + honestBytes <= quotaBytes,
      `Too much is on disk: ${kept.bytes} bytes of pushes`,
    );
    ok(await refusals(quota) >= files.length - kept.files, "each refusal must be counted");
    strictEqual((await quota.files()).filter((file) => file.has_copy).length, kept.files + 1);

    const slow = bytesIn(folder.at("rate", "storage_kashifm"), "flood");
    ok(
      slow.files >= 50,
      `The burst must be allowed, but only ${slow.files} were kept. ${rate.report()}`,
    );
    ok(slow.files <= 50 + 10 * seconds + 1, `Too many pushes kept: ${slow.files} in ${seconds} s`);
    ok(slow.files < 300, "the attack was slower than the rate limit, so this proves nothing");
  },
);
