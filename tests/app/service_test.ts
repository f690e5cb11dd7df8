// The parts joined: what the folder's watcher tells is never forgotten, a stop waits for nothing that may never end, and
// whatever fails at the start leaves nothing behind.

import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FolderWatcher } from "../../app/folder_watch.ts";
import { Service, type ServiceOptions } from "../../app/service.ts";
import { statusOf } from "../../app/status.ts";
import { inTempDir } from "../storage/fixture.ts";
import { until } from "../until.ts";

type FolderEvent = Pick<Deno.FsEvent, "kind" | "paths" | "flag">;

/** A watcher that tells what the test tells it to. */
class Told implements FolderWatcher {
  #next = Promise.withResolvers<FolderEvent>();
  asked = 0;

  tell(event: Partial<FolderEvent> = {}): void {
    this.#next.resolve({ kind: "modify", paths: ["/x/file.txt"], ...event });
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      this.asked++;
      const event = await this.#next.promise;
      this.#next = Promise.withResolvers<FolderEvent>();
      yield event;
    }
  }
}

const optionsIn = (dir: string, over: Partial<ServiceOptions> = {}): ServiceOptions => ({
  peerId: "me",
  host: "127.0.0.1",
  port: 0,
  listenHost: "127.0.0.1",
  ownIps: ["127.0.0.1"],
  ownPorts: [],
  bootstraps: [],
  storageDir: `${dir}/store`,
  autoFetch: 0,
  gossipInterval: 30_000,
  peerTimeout: 60_000,
  durability: "normal",
  limits: { ...DEFAULT_LIMITS, minFreeBytes: 0 },
  onEvent: () => {},
  ...over,
});

async function withService(
  act: (service: Service, dir: string) => Promise<void>,
  over: Partial<ServiceOptions> = {},
): Promise<void> {
  await inTempDir(async (dir) => {
    const service = await Service.open(optionsIn(dir, over));
    service.join();
    try {
      await act(service, `${dir}/store`);
    } finally {
      await service.stop();
      service.release();
    }
  });
}

const namesOf = ({ node }: Service) =>
  [...node.peer.catalogue.held()].map(({ file }) => file.name).sort();

/** How much of one kind the core remembers. */
const boundOf = ({ node }: Service, name: string) =>
  node.peer.sizes.find((bound) => bound.name === name)!.size();

Deno.test("an event that comes while the folder is looked at leads to another look right after it", async () => {
  const watcher = new Told();
  await withService(async (service, dir) => {
    const scan = service.store.scan.bind(service.store);
    const looking = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let looks = 0;
    service.store.scan = async (...args) => {
      if (++looks > 1) return await scan(...args);
      const changes = await scan(...args);
      looking.resolve();
      await goOn.promise; // a large file is being hashed
      return changes;
    };
    watcher.tell();
    await looking.promise;
    await Deno.writeTextFile(`${dir}/small.txt`, "small");
    const { asked } = watcher;
    watcher.tell({ paths: [`${dir}/small.txt`] });
    await until("the event was heard", () => watcher.asked > asked);
    goOn.resolve();
    await until("another look", () => looks >= 2);
    await until("the file is shared", () => namesOf(service).includes("small.txt"));
  }, { watchFolder: () => watcher });
});

Deno.test("a rescan is obeyed whatever paths it names, and our own files set off nothing", async () => {
  const watcher = new Told();
  await withService(async (service, dir) => {
    let looks = 0;
    const scan = service.store.scan.bind(service.store);
    service.store.scan = (...args) => {
      looks++;
      return scan(...args);
    };
    const tell = async (event: Partial<FolderEvent>) => {
      const { asked } = watcher;
      watcher.tell(event);
      await until("the event was heard", () => watcher.asked > asked);
    };
    await until("the regular look", () => looks >= 1);
    const before = looks;
    await tell({ paths: [`${dir}/metadata.json`] });
    await tell({ flag: "rescan", paths: [`${dir}/metadata.json`], kind: "any" });
    await until("a look for the rescan", () => looks > before);
  }, { watchFolder: () => watcher });
});

Deno.test("the pause between looks follows the cost of looking, not of hashing", async () => {
  await withService(async (service, dir) => {
    const scan = service.store.scan.bind(service.store);
    let looks = 0;
    service.store.scan = async (...args) => {
      const changes = await scan(...args);
      if (++looks === 1) await new Promise((go) => setTimeout(go, 1_000)); // hashing takes long
      return changes;
    };
    await until("the first look", () => looks >= 1);
    await Deno.writeTextFile(`${dir}/later.txt`, "later");
    // Paced by the whole of it, the next look would come after 20 s.
    await until("the next looks", () => namesOf(service).includes("later.txt"), 10_000);
  }, { watchFolder: () => new Told() });
});

Deno.test("space that grows is noticed while there is some, for nobody knows how much a file needs", async () => {
  await withService(async (service) => {
    let [free, tries, looks] = [5_000_000, 0, 0];
    service.store.freeBytes = () => (looks++, free);
    const dispatch = service.node.dispatch.bind(service.node);
    service.node.dispatch = (input) => {
      if (input.kind === "space") tries++;
      dispatch(input);
    };
    const look = async () => {
      const before = looks;
      await until("a look at the space", () => looks > before);
    };
    await look();
    free = 4_500_000; // somebody else writes, and removes a little
    await look();
    free = 5_000_000;
    await look();
    assert.equal(tries, 0);
    free = 9_000_000;
    await until("another try", () => tries > 0);
    await look();
    assert.equal(tries, 1, "once");
  }, { watchFolder: () => new Told() });
});

Deno.test("a stop saves, gives the store free and returns, whatever hangs", async () => {
  await inTempDir(async (dir) => {
    const watcher = new Told();
    // The runtime's may block the only thread for good, so that nothing behind it would run.
    const close = () => {
      throw new Error("It never returns");
    };
    const watchFolder = () => Object.assign(watcher, { close });
    const service = await Service.open(optionsIn(dir, { watchFolder }));
    service.join();
    await Deno.writeTextFile(`${dir}/a.txt`, "a");
    await service.operations.push(`${dir}/a.txt`);
    const stopNode = service.node.stop.bind(service.node);
    service.node.stop = () => new Promise<void>(() => {});
    service.store.tidy = () => new Promise<void>(() => {});
    const saved = await service.stop();
    await stopNode(); // in a process, the exit would do that
    assert.equal(saved, true);
    const text = await Deno.readTextFile(`${dir}/store/metadata.json`);
    assert.ok(text.includes("a.txt"));
    const again = await Service.open(optionsIn(dir));
    assert.deepEqual(namesOf(again), ["a.txt"], "the lock is free");
    await again.stop();
  });
});

Deno.test("a save that never ends does not keep the peer from stopping, and it is said", async () => {
  await inTempDir(async (dir) => {
    const texts: string[] = [];
    const service = await Service.open(optionsIn(dir, {
      watchFolder: () => new Told(),
      onEvent: (event) => event.name === "trouble" && texts.push(event.text),
    }));
    service.join();
    service.store.snapshots.saveMetadata = () => new Promise<void>(() => {});
    assert.equal(await service.stop(), false);
    assert.ok(texts.some((text) => text.includes("before everything was saved")), texts.join());
    const again = await Service.open(optionsIn(dir));
    await again.stop();
  });
});

Deno.test("a start that fails while it loads leaves the port and the store free", async () => {
  await inTempDir(async (dir) => {
    const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = probe.addr;
    probe.close();
    await (await Service.open(optionsIn(dir))).stop();
    const { store: { layout } } = await opened(dir);
    const readDir = Deno.readDir;
    Deno.readDir = (path) => {
      if (String(path) === layout.dir) throw new Error("Input/output error (os error 5)");
      return readDir(path);
    };
    try {
      await assert.rejects(Service.open(optionsIn(dir, { port })), /Input\/output error/);
    } finally {
      Deno.readDir = readDir;
    }
    const listener = Deno.listen({ hostname: "127.0.0.1", port });
    listener.close();
    await (await Service.open(optionsIn(dir, { port }))).stop();
  });
});

async function opened(dir: string): Promise<Service> {
  const service = await Service.open(optionsIn(dir));
  await service.stop();
  return service;
}

Deno.test("who wants one file many times waits for it once", async () => {
  await withService(async ({ node }) => {
    const fileId = "a".repeat(64);
    const file = {
      fileId,
      name: "x",
      owner: "eagle",
      timestamp: { text: "1744170562", quoted: false },
      size: 1,
    };
    // A peer that takes connections and says nothing.
    const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const about = { host: "127.0.0.1", port: silent.addr.port, peerId: "eagle" };
    const message = { type: "GOSSIP_REPLY", ...about, files: [file] } as const;
    node.dispatch({ kind: "message", message, ip: "127.0.0.1", connection: 0 });
    const waits = Array.from({ length: 1_000 }, () => node.get(fileId).catch(() => {}));
    assert.equal(node.work.waiters, 1);
    for (const move of node.transferLog.running) node.cancel(move.id);
    await Promise.all(waits);
    assert.equal(node.work.waiters, 0);
    silent.close();
  }, { watchFolder: () => new Told() });
});

Deno.test("another peer that uses our name is known to the pages for as long as it does", async () => {
  const events: string[] = [];
  const onEvent = ({ name }: { readonly name: string }) => void events.push(name);
  await withService(async (service) => {
    assert.equal(statusOf(service).nameTakenBy, undefined);
    const gossip = {
      type: "GOSSIP",
      host: "127.0.0.1",
      port: 6000,
      id: "x",
      peerId: "me",
    } as const;
    service.node.dispatch({ kind: "message", message: gossip, ip: "127.0.0.1", connection: 0 });
    assert.equal(statusOf(service).nameTakenBy, "127.0.0.1:6000");
    assert.ok(events.includes("name-taken"));
    await Promise.resolve();
  }, { watchFolder: () => new Told(), onEvent });
});

Deno.test("a file that cannot be read on while it is sent ends the connection at once, and is not told whole", async () => {
  await withService(async (service, dir) => {
    await Deno.writeTextFile(`${dir}/../a.txt`, "x".repeat(1_000_000));
    const { file } = await service.operations.push(`${dir}/../a.txt`);
    let [closed, reads, isEnded] = [0, 0, false];
    service.store.reader = () =>
      ({
        sizeBytes: 1_000_000,
        sha256: "",
        readInto(buffer: Uint8Array) {
          if (reads++ > 0) throw new Error("Input/output error (os error 5)");
          return buffer.length;
        },
        close: () => void closed++,
      }) as unknown as ReturnType<typeof service.store.reader>;
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: service.node.address.port });
    const ask = JSON.stringify({ type: "GET_FILE", file_id: file.fileId });
    await conn.write(new TextEncoder().encode(ask));
    let bytes = 0;
    const buffer = new Uint8Array(65_536);
    const reading = (async () => {
      for (;;) {
        const read = await conn.read(buffer).catch(() => null); // reset is an end as well
        if (read === null) return;
        bytes += read;
      }
    })();
    reading.then(() => isEnded = true);
    // Long before the deadline of an idle connection, which is 30 s.
    await until("the end of the connection", () => isEnded, 10_000);
    conn.close();
    await reading;
    assert.ok(bytes < 2_000_000, `${bytes} bytes of a message that is longer`);
    assert.equal(closed, 1);
    await until(
      "nothing is counted as being sent",
      () => boundOf(service, "machines served") === 0,
    );
  }, { watchFolder: () => new Told() });
});
