// The line about connections to this peer: once when it becomes true, once when it no longer is, and not more often.

import { deepStrictEqual } from "node:assert/strict";
import { ReachNotice } from "../../app/reach_notice.ts";
import type { ReachTrouble } from "../../cli/reach_text.ts";

class Scene {
  nowMs = 0;
  trouble: ReachTrouble | undefined;
  readonly lines: string[] = [];
  readonly #due: { readonly atMs: number; readonly act: () => void }[] = [];
  readonly notice = new ReachNotice({
    timers: {
      after: (ms, act) => {
        this.#due.push({ atMs: this.nowMs + ms, act });
        return undefined;
      },
    },
    trouble: () => this.trouble,
    onEvent: (event) => {
      if (event.name === "reach") this.lines.push(`${event.isBad} ${event.text}`);
    },
    nowMs: () => this.nowMs,
  });

  set(cause: ReachTrouble["cause"] | undefined): void {
    this.trouble = cause && { cause, peers: 1, text: cause };
    this.notice.changed();
  }

  wait(ms: number): void {
    this.nowMs += ms;
    for (
      const { act } of this.#due.splice(0).filter((each) =>
        each.atMs <= this.nowMs || this.#keep(each)
      )
    ) act();
  }

  #keep(each: { readonly atMs: number; readonly act: () => void }): false {
    this.#due.push(each);
    return false;
  }
}

const GOOD = "false Other peers no longer report that connections to this one fail";

Deno.test("what others say is told once it was gathered, and once more when nobody says so", () => {
  const scene = new Scene();
  scene.set("firewall");
  deepStrictEqual(scene.lines, []);
  scene.wait(1_000);
  deepStrictEqual(scene.lines, ["true firewall"]);
  scene.set("firewall");
  scene.wait(60_000);
  deepStrictEqual(scene.lines, ["true firewall"], "no news");
  scene.set(undefined);
  scene.wait(1_000);
  deepStrictEqual(scene.lines, ["true firewall", GOOD]);
});

Deno.test("however often they change their minds, there are few lines", () => {
  const scene = new Scene();
  for (let second = 0; second < 300; second++) {
    scene.set(second % 2 === 0 ? "firewall" : undefined);
    scene.wait(1_000);
  }
  deepStrictEqual(scene.lines.length <= 11, true, `${scene.lines.length} lines`);
});

Deno.test("what is over before it was gathered is not told", () => {
  const scene = new Scene();
  scene.set("firewall");
  scene.wait(500);
  scene.set(undefined);
  scene.wait(1_000);
  deepStrictEqual(scene.lines, []);
});
