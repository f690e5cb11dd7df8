// ANNOUNCE, DELETE, GET_FILE and pushes: who may do what, and what follows.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  DEFAULT_LIMITS,
  DELETES_PER_MINUTE,
  LIFT_AFTER_MS,
  TELL_AGAIN_MS,
} from "../../../protocol/limits.ts";
import {
  events,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  receivers,
  refusals,
  sent,
} from "../machine.ts";

const offer = (machine: Machine, fileId?: string, ip = "10.0.0.7") =>
  only(
    machine.do({ kind: "push-offered", ip, connection: 1, ...(fileId ? { fileId } : {}) }),
    "push-verdict",
  )[0]!;

/** Returns a peer that holds file 1 of "owner", who is at 10.0.0.1. */
function withOwner(): Machine {
  const machine = new Machine();
  machine.meet(oldPeer("owner", 1), oldPeer("b", 2));
  machine.hold(files(1));
  return machine;
}

Deno.test("an announcement makes its sender a holder, if it is tracked", () => {
  const machine = new Machine();
  machine.meet(oldPeer("a", 1));
  machine.announce(oldPeer("a", 1), fileOfNumber(1));
  machine.announce(oldPeer("nobody", 9), fileOfNumber(2));
  machine.announce({ ...oldPeer("me", 9), peerId: "me" }, fileOfNumber(3));
  deepStrictEqual([1, 2].map((n) => [...machine.catalogue.get(idOf(n))!.holders]), [["a"], []]);
  strictEqual(machine.catalogue.get(idOf(3)), undefined, "an ANNOUNCE in our name is ignored");
});

Deno.test("an announcement is a sign of life if it comes from the peer's own address", () => {
  for (const [ip, isAlive] of [["10.0.0.1", true], ["10.6.6.6", false]] as const) {
    const machine = new Machine();
    machine.start();
    machine.meet(oldPeer("a", 1));
    machine.nowMs = 40_000;
    machine.announce(oldPeer("a", 1), fileOfNumber(1), ip);
    machine.wait(30_000);
    strictEqual(machine.membership.get("a") !== undefined, isAlive);
  }
});

Deno.test("an owner's DELETE that arrives before its ANNOUNCE counts; from elsewhere it does not", () => {
  const machine = new Machine();
  machine.start();
  const owner = oldPeer("owner", 1);
  machine.meet(owner);
  machine.delete("owner", idOf(1), "10.0.0.66");
  machine.announce(owner, fileOfNumber(1));
  ok(machine.catalogue.get(idOf(1)), "anybody could have sent that");
  machine.delete("owner", idOf(2), owner.ip);
  machine.announce(owner, fileOfNumber(2));
  strictEqual(machine.catalogue.get(idOf(2)), undefined);
});

Deno.test("a DELETE that arrives before its push, or while the store is writing the file, counts as well", () => {
  const machine = new Machine();
  machine.start();
  const owner = oldPeer("owner", 1);
  machine.meet(owner);
  machine.delete("owner", idOf(1), owner.ip);
  deepStrictEqual(refusals(machine.arrive(fileOfNumber(1), { ip: owner.ip })), ["deleted"]);
  const arrived = machine.arrive(fileOfNumber(2), { ip: owner.ip });
  machine.delete("owner", idOf(2), owner.ip);
  const kept = only(machine.keep(arrived), "trash");
  deepStrictEqual(kept, [{ kind: "trash", fileIds: [idOf(2)], why: "deleted" }]);
  strictEqual(machine.catalogue.get(idOf(2)), undefined);
});

Deno.test("a DELETE from the owner's known address moves the copy to the trash, and it does not come back", () => {
  const machine = withOwner();
  machine.reply(oldPeer("b", 2), files(1));
  const effects = machine.delete("owner", idOf(1), "10.0.0.1");
  deepStrictEqual(only(effects, "trash"), [{ kind: "trash", fileIds: [idOf(1)], why: "deleted" }]);
  deepStrictEqual(events(effects, "deleted").map(({ by }) => by), ["owner"]);
  strictEqual(only(effects, "save").length, 1);
  machine.reply(oldPeer("b", 2), files(1));
  machine.announce(oldPeer("b", 2), fileOfNumber(1));
  strictEqual(machine.catalogue.size, 0);
  deepStrictEqual(refusals(machine.arrive(fileOfNumber(1), { ip: "10.0.0.2" })), ["deleted"]);
  deepStrictEqual(refusals(machine.arrive(fileOfNumber(1), { ip: "10.0.0.2", source: "b" })), [
    "deleted",
  ]);
  const underWay = machine.arrive(fileOfNumber(1), { ip: "10.0.0.1" });
  deepStrictEqual(refusals(underWay), ["deleted"], "a copy that was on its way");
  machine.nowMs += LIFT_AFTER_MS;
  const again = machine.arrive(fileOfNumber(1), { ip: "10.0.0.1" });
  strictEqual(only(again, "keep").length, 1, "the owner itself may bring it back");
  machine.keep(again);
  strictEqual(machine.catalogue.get(idOf(1))?.held, true);
});

Deno.test("an owner that restores its file announces it from its own address, and others accept it again", () => {
  const machine = withOwner();
  const owner = oldPeer("owner", 1);
  machine.delete("owner", idOf(1), owner.ip);
  machine.announce(owner, fileOfNumber(1));
  strictEqual(machine.catalogue.size, 0, "an announcement that was on its way");
  machine.nowMs += LIFT_AFTER_MS;
  machine.gossip(owner);
  for (const [from, ip] of [[oldPeer("b", 2), "10.0.0.2"], [owner, "10.0.0.66"]] as const) {
    machine.announce(from, fileOfNumber(1), ip);
    strictEqual(machine.catalogue.size, 0, `${from.peerId} from ${ip}`);
  }
  machine.announce(owner, fileOfNumber(1));
  strictEqual(machine.catalogue.get(idOf(1))?.holders.has("owner"), true);
});

Deno.test("a file restored right after its deletion is announced again once others accept it", () => {
  for (const [pauseMs, times] of [[1_000, 1], [TELL_AGAIN_MS, 0]] as const) {
    const machine = new Machine();
    machine.start();
    machine.meet(oldPeer("b", 2));
    const ours = fileOfNumber(1, { owner: "me" });
    machine.hold([ours], "published");
    machine.do({ kind: "delete", fileId: ours.fileId });
    machine.nowMs += pauseMs;
    const at = sent(machine.hold([ours], "restored"), "ANNOUNCE");
    strictEqual(at.length, 1, "at once, for peers that missed the deletion");
    const later = sent(machine.wait(3 * LIFT_AFTER_MS), "ANNOUNCE");
    strictEqual(later.length, times, `restored after ${pauseMs} ms`);
    strictEqual(sent(machine.wait(3 * LIFT_AFTER_MS), "ANNOUNCE").length, 0, "and only once");
  }
});

Deno.test("nobody but the owner deletes a file, nor does the owner's name from another address", () => {
  const forgeries = [
    ["b", "10.0.0.2"],
    ["b", "10.0.0.1"],
    ["owner", "10.0.0.2"],
    ["owner", "127.0.0.1"],
    ["nobody", "10.0.0.1"],
    ["__proto__", "10.0.0.1"],
  ] as const;
  for (const [from, ip] of forgeries) {
    const machine = withOwner();
    const effects = machine.delete(from, idOf(1), ip);
    deepStrictEqual(refusals(effects), ["forged-delete"], `${from} at ${ip}`);
    deepStrictEqual(only(effects, "trash"), []);
    strictEqual(machine.catalogue.get(idOf(1))?.held, true);
  }
  const stranger = new Machine();
  stranger.hold(files(1));
  deepStrictEqual(
    refusals(stranger.delete("owner", idOf(1), "10.0.0.1")),
    ["forged-delete"],
    "an owner that is not tracked",
  );
  deepStrictEqual(
    stranger.delete("owner", idOf(99), "10.0.0.1").filter(({ kind }) => kind !== "event"),
    [],
  );
});

Deno.test("an owner with a host name can delete once it is known where that name leads", () => {
  const machine = new Machine();
  const owner = { peerId: "owner", host: "eagle", port: 6000, ip: "10.0.0.1" };
  machine.meet(owner);
  machine.hold(files(1));
  deepStrictEqual(refusals(machine.delete("owner", idOf(1), "10.0.0.1")), ["forged-delete"]);
  machine.do({ kind: "sent", to: { host: "eagle", port: 6000 }, peerId: "owner", ip: "10.0.0.1" });
  strictEqual(events(machine.delete("owner", idOf(1), "10.0.0.1"), "deleted").length, 1);
});

Deno.test("files of ours are deleted only by us, and then everywhere", () => {
  const machine = new Machine();
  const mine = fileOfNumber(1, { owner: "me" });
  machine.meet(oldPeer("a", 1), newPeer("b", 2));
  machine.hold([mine], "published");
  for (const ip of ["10.0.0.1", "10.9.9.9", "127.0.0.1"]) {
    deepStrictEqual(refusals(machine.delete("me", idOf(1), ip)), ["forged-delete"]);
  }
  const effects = machine.do({ kind: "delete", fileId: idOf(1) });
  deepStrictEqual(receivers(effects, "DELETE"), ["a", "b"]);
  strictEqual(sent(effects, "DELETE")[0]!.message.from, "me");
  strictEqual(only(effects, "trash").length, 1);
  machine.announce(oldPeer("a", 1), mine);
  strictEqual(machine.catalogue.size, 0);
  machine.hold([mine], "published");
  strictEqual(
    machine.catalogue.get(idOf(1))?.held,
    true,
    "publishing it again lifts our own deletion",
  );
});

Deno.test("the number of DELETEs obeyed from one owner per minute is limited", () => {
  const machine = new Machine();
  machine.meet(oldPeer("owner", 1));
  machine.hold(files(100));
  const obeyed = () =>
    files(100).filter(({ fileId }) =>
      events(machine.delete("owner", fileId, "10.0.0.1"), "deleted").length > 0
    );
  strictEqual(obeyed().length, DELETES_PER_MINUTE);
  strictEqual(machine.catalogue.heldCount, 100 - DELETES_PER_MINUTE);
  machine.nowMs = 60_000;
  machine.gossip(oldPeer("owner", 1));
  strictEqual(obeyed().length, 100 - DELETES_PER_MINUTE);
});

Deno.test("a file that is deleted while the store is writing it does not come back", () => {
  for (const deletes of ["owner", "person"] as const) {
    const machine = withOwner();
    machine.reply(oldPeer("b", 2), [fileOfNumber(5)]);
    machine.do({ kind: "want", fileId: idOf(5) });
    const kept = machine.arrive(fileOfNumber(5), { ip: "10.0.0.2", source: "b" });
    strictEqual(only(kept, "keep").length, 1);
    if (deletes === "owner") machine.delete("owner", idOf(5), "10.0.0.1");
    else machine.do({ kind: "delete", fileId: idOf(5) });
    const effects = machine.keep(kept);
    deepStrictEqual(receivers(effects, "ANNOUNCE"), [], deletes);
    deepStrictEqual(only(effects, "trash").flatMap(({ fileIds }) => fileIds), [idOf(5)], deletes);
    ok(!machine.catalogue.get(idOf(5))?.held, deletes);
  }
});

Deno.test("a file that a person removed here comes back on request, not automatically and not from others", () => {
  const machine = withOwner();
  const effects = machine.do({ kind: "delete", fileId: idOf(1) });
  deepStrictEqual(events(effects, "deleted").map(({ by }) => by), ["us-here-only"]);
  deepStrictEqual(receivers(effects, "DELETE"), []);
  strictEqual(machine.catalogue.get(idOf(1))?.held, false, "its entry stays");
  deepStrictEqual(refusals(machine.arrive(fileOfNumber(1), { ip: "10.0.0.2" })), ["unwanted-push"]);
  strictEqual(
    only(machine.arrive(fileOfNumber(1), { ip: "10.0.0.1" }), "keep").length,
    1,
    "its owner may",
  );
});

Deno.test("a download that a person canceled is not kept even if it arrives", () => {
  const machine = withOwner();
  machine.reply(oldPeer("b", 2), [fileOfNumber(5)]);
  machine.do({ kind: "want", fileId: idOf(5) });
  machine.do({ kind: "delete", fileId: idOf(5) });
  const effects = machine.arrive(fileOfNumber(5), { ip: "10.0.0.2", source: "b" });
  deepStrictEqual(only(effects, "keep"), []);
  strictEqual(only(effects, "drop").length, 1);
});

Deno.test("a published file is announced to all peers and pushed to one", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1), oldPeer("b", 2), newPeer("c", 3));
  machine.gossip({ ...newPeer("unproven", 4), ip: "10.6.6.6" });
  const effects = machine.hold([fileOfNumber(1, { owner: "me" })], "published");
  deepStrictEqual(receivers(effects, "ANNOUNCE"), ["a", "b", "c", "unproven"]);
  const { message } = sent(effects, "ANNOUNCE")[0]!;
  deepStrictEqual([message.from, message.file.fileId, message.file.sizeBytes], ["me", idOf(1), 10]);
  const asked = [...only(effects, "replicate")];
  strictEqual(asked.length, 1);
  for (let tries = 1; tries < 3; tries++) {
    const { to, peerId } = asked.at(-1)!;
    asked.push(
      ...only(
        machine.do({
          kind: "unreachable",
          what: "FILE_DATA",
          to,
          peerId,
          text: "refused",
          ticket: { for: "replicate", fileId: idOf(1) },
        }),
        "replicate",
      ),
    );
  }
  deepStrictEqual(
    asked.map(({ peerId }) => peerId).sort(),
    ["a", "b", "c"],
    "each once, unproven peers never",
  );
  const { to, peerId } = asked[2]!;
  const last = machine.do({
    kind: "unreachable",
    what: "FILE_DATA",
    to,
    peerId,
    text: "refused",
    ticket: { for: "replicate", fileId: idOf(1) },
  });
  deepStrictEqual(only(last, "replicate"), []);
});

Deno.test("a large file is not pushed to an old peer, and no file to a peer that holds it already", () => {
  for (
    const [sizeBytes, who, isOffered] of [
      [DEFAULT_LIMITS.legacyPushBytes, oldPeer("a", 1), true],
      [DEFAULT_LIMITS.legacyPushBytes + 1, oldPeer("a", 1), false],
      [DEFAULT_LIMITS.legacyPushBytes + 1, newPeer("a", 1), true],
    ] as const
  ) {
    const machine = new Machine();
    machine.meet(who);
    const effects = machine.do({
      kind: "held",
      files: [heldOf(fileOfNumber(1), sizeBytes)],
      how: "published",
    });
    strictEqual(only(effects, "replicate").length, isOffered ? 1 : 0, `${sizeBytes} bytes`);
  }
  const machine = new Machine();
  machine.reply(newPeer("a", 1), files(1));
  deepStrictEqual(only(machine.hold(files(1), "published"), "replicate"), []);
});

Deno.test("a GET_FILE is answered with the file, or with the answer that it is not here", () => {
  const machine = withOwner();
  const get = (fileId: string) => machine.message({ type: "GET_FILE", fileId }, "10.0.0.2", 7);
  deepStrictEqual(
    only(get(idOf(1)), "serve").map(({ connection, file }) => [connection, file.fileId]),
    [[7, idOf(1)]],
  );
  machine.reply(oldPeer("b", 2), [fileOfNumber(2)]);
  machine.do({ kind: "lost", fileIds: [idOf(1)], why: "missing" });
  for (const n of [1, 2, 3]) {
    const [absent] = only(get(idOf(n)), "answer-absent");
    strictEqual(absent!.connection, 7);
    const fields = JSON.parse(new TextDecoder().decode(absent!.bytes));
    deepStrictEqual([fields.type, fields.file_id, fields.file_size, fields.data], [
      "FILE_DATA",
      null,
      0,
      null,
    ]);
  }
});

Deno.test("a held file is not stored again", () => {
  const machine = withOwner();
  strictEqual(offer(machine, idOf(1)).verdict, "skip");
  strictEqual(offer(machine, idOf(2)).verdict, "take");
  strictEqual(offer(machine).verdict, "take");
  deepStrictEqual(only(machine.arrive(fileOfNumber(1)), "drop").length, 1);
});
