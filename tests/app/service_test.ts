// The assembled service: it never loses an event from the folder watcher, does not wait forever when it stops, and
// leaves nothing behind if its start fails.

import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FolderWatcher } from "../../app/folder_watch.ts";
import { Service, type ServiceOptions } from "../../app/service.ts";
import { StorageError } from "../../storage/errors.ts";
import { statusOf } from "../../app/status.ts";
import { inTempDir } from "../storage/fixture.ts";
import { until } from "../until.ts";

type FolderEvent = Pick<Deno.FsEvent, "kind" | "paths" | "flag">;

/** A folder watcher that reports the events a test gives it. */
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

/** Returns the current size of one of the core's bounded collections. */
const boundOf = ({ node }: Service, name: string) =>
  node.peer.sizes.find((bound) => bound.name === name)!.size();

Deno.test("an event that arrives during a scan triggers another scan right after it", async () => {
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
    await until("the event to be received", () => watcher.asked > asked);
    goOn.resolve();
    await until("another scan", () => looks >= 2);
    await until("the file to be shared", () => namesOf(service).includes("small.txt"));
  }, { watchFolder: () => watcher });
});

Deno.test("a rescan event triggers a scan whatever paths it names, and the store's own files trigger none", async () => {
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
      await until("the event to be received", () => watcher.asked > asked);
    };
    await until("the regular scan", () => looks >= 1);
    const before = looks;
    await tell({ paths: [`${dir}/metadata.json`] });
    await tell({ flag: "rescan", paths: [`${dir}/metadata.json`], kind: "any" });
    await until("a scan for the rescan event", () => looks > before);
  }, { watchFolder: () => watcher });
});

Deno.test("the pause between scans depends on the cost of scanning, not of hashing", async () => {
  await withService(async (service, dir) => {
    const scan = service.store.scan.bind(service.store);
    let looks = 0;
    service.store.scan = async (...args) => {
      const changes = await scan(...args);
      if (++looks === 1) await new Promise((go) => setTimeout(go, 1_000)); // hashing takes long
      return changes;
    };
    await until("the first scan", () => looks >= 1);
    await Deno.writeTextFile(`${dir}/later.txt`, "later");
    // If hashing counted too, the next scan would be 20 s away.
    await until("the next scans", () => namesOf(service).includes("later.txt"), 10_000);
  }, { watchFolder: () => new Told() });
});

Deno.test("a look at single files that failed is repeated, for the next look at everything may be minutes away", async () => {
  const watcher = new Told();
  await withService(async (service, dir) => {
    const scan = service.store.scan.bind(service.store);
    const looks: (readonly string[])[] = [];
    service.store.scan = async (knowledge, scope, onPart) => {
      if (scope.names) {
        looks.push(scope.names);
        if (looks.length === 1) throw new StorageError("no-space", "The disk is full");
      }
      const changes = await scan(knowledge, scope, onPart);
      return { ...changes, lookedMs: 10_000 }; // a large folder, slow to list
    };
    await service.indexed;
    await Deno.writeTextFile(`${dir}/small.txt`, "small");
    watcher.tell({ paths: [`${dir}/small.txt`] });
    await until("the file to be shared", () => namesOf(service).includes("small.txt"));
    for (const names of looks) assert.deepEqual(names, ["small.txt"]);
  }, { watchFolder: () => watcher });
});

Deno.test("growing free space is noticed even if some was left, since a waiting file's size is unknown", async () => {
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
      await until("a check of the free space", () => looks > before);
    };
    await look();
    free = 4_500_000; // another program writes files and deletes a few
    await look();
    free = 5_000_000;
    await look();
    assert.equal(tries, 0);
    free = 9_000_000;
    await until("another attempt", () => tries > 0);
    await look();
    assert.equal(tries, 1, "once");
  }, { watchFolder: () => new Told() });
});

Deno.test("stop saves, releases the store, and returns, whatever hangs", async () => {
  await inTempDir(async (dir) => {
    const watcher = new Told();
    // The runtime's own may block the only thread forever, so that nothing after it would run.
    const close = () => {
      throw new Error("The real call never returns");
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
    await stopNode(); // in a real process, exiting would do this
    assert.equal(saved, true);
    const text = await Deno.readTextFile(`${dir}/store/metadata.json`);
    assert.ok(text.includes("a.txt"));
    const again = await Service.open(optionsIn(dir));
    again.join(); // the lock must be free
    await again.loaded;
    assert.deepEqual(namesOf(again), ["a.txt"]);
    await again.stop();
  });
});

Deno.test("a save that never finishes does not block the shutdown, and it is reported", async () => {
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

Deno.test("a journal that cannot be read is reported, and a stop releases the port and the store", async () => {
  await inTempDir(async (dir) => {
    const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = probe.addr;
    probe.close();
    await (await Service.open(optionsIn(dir))).stop();
    const { store: { layout } } = await opened(dir);
    await Deno.writeTextFile(layout.journal, "");
    const open = Deno.open;
    Deno.open = (path, options) => {
      if (path === layout.journal) throw new Error("Input/output error (os error 5)");
      return open(path, options);
    };
    const service = await Service.open(optionsIn(dir, { port }));
    try {
      service.join();
      await assert.rejects(service.loaded, /Input\/output error/);
    } finally {
      Deno.open = open;
      await service.stop();
    }
    await until("the port to be free", () => {
      try {
        Deno.listen({ hostname: "127.0.0.1", port }).close();
        return true;
      } catch {
        return false;
      }
    });
    await (await Service.open(optionsIn(dir, { port }))).stop();
  });
});

async function opened(dir: string): Promise<Service> {
  const service = await Service.open(optionsIn(dir));
  await service.stop();
  return service;
}

Deno.test("requesting one file many times waits for it only once", async () => {
  await withService(async ({ node }) => {
    const fileId = "a".repeat(64);
    const file = {
      fileId,
      name: "x",
      owner: "eagle",
      timestamp: { text: "1744170562", quoted: false },
      size: 1,
    };
    // A peer that accepts connections but sends nothing.
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

Deno.test("the pages show another peer that uses our name for as long as it does so", async () => {
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

Deno.test("a read error while sending a file closes the connection immediately and does not count as a complete transfer", async () => {
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
        const read = await conn.read(buffer).catch(() => null); // a reset also ends the connection
        if (read === null) return;
        bytes += read;
      }
    })();
    reading.then(() => isEnded = true);
    // Well before the 30 s deadline of an idle connection.
    await until("the connection to close", () => isEnded, 10_000);
    conn.close();
    await reading;
    assert.ok(bytes < 2_000_000, `Expected a truncated message, received ${bytes} bytes`);
    assert.equal(closed, 1);
    await until(
      "no transfer to be counted as running",
      () => boundOf(service, "machines served") === 0,
    );
  }, { watchFolder: () => new Told() });
});
