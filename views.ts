// The running peer as others may see it: the prompt's commands and the web's view, made from the service.
// Only translation lives here; nothing is decided.

import { addressText } from "./protocol/address.ts";
import type { PeerRecord } from "./protocol/membership.ts";
import { OTHERS } from "./protocol/refusals.ts";
import { visible } from "./protocol/text.ts";
import { placeOf } from "./protocol/state.ts";
import { durationText, sizeText } from "./protocol/words.ts";
import { VERSION } from "./cli/arguments.ts";
import type { Commands } from "./cli/commands.ts";
import { count } from "./cli/report.ts";
import type { View } from "./web/view.ts";
import type { Service } from "./service.ts";

/** Peers shown with what was refused of them, the most first; the API has all. */
const REFUSED_ROWS = 10;

/** What the prompt may do; `exit` and the log level belong to who runs the peer. */
export function commandsOf(
  service: Service,
  { setLogLevel, exit }: Pick<Commands, "setLogLevel" | "exit">,
): Commands {
  const { requests } = service;
  const { membership, catalogue } = service.node.peer.state;
  return {
    setLogLevel,
    exit,
    files: () =>
      [...catalogue.all()].map(({ file, held, holders }) => ({
        file,
        held,
        holders: held ? [service.options.peerId, ...holders] : [...holders],
      })),
    peers: () =>
      [...membership.all()].map((record) => ({
        peerId: record.peerId,
        address: addressText(record.address),
        silentSeconds: (performance.now() - record.lastHeardMs) / 1000,
        bootstrap: record.bootstrap,
        extended: record.extended,
        files: catalogue.holdingsOf(record.peerId),
        note: noteOn(service, record),
      })),
    get: async (what, destination) => {
      const { file } = requests.find(what);
      const source = await requests.get(file.fileId);
      const path = destination === undefined
        ? undefined
        : await requests.copyOut(file.fileId, destination);
      return { source, path, name: file.name };
    },
    push: (path) => requests.push(path),
    delete: (text) => {
      const { file } = requests.find(text);
      return { name: file.name, where: requests.delete(file.fileId) };
    },
    restore: (text) => requests.restore(text),
    verify: (onProgress) => requests.verify(onProgress),
    stats: () => {
      const status = viewOf(service, new Set()).status();
      const counts = (of: Readonly<Record<string, number>>) =>
        Object.entries(of).map(([key, n]) => `${key} ${n}`).join(", ") || "none";
      return [
        ["up", durationText(status.uptimeSeconds)],
        ["peers", String(status.peers)],
        [
          "files",
          `${status.files.held} here (${
            sizeText(status.files.heldBytes)
          }), ${status.files.known} known`,
        ],
        ["content", `${sizeText(status.bytes.in)} in, ${sizeText(status.bytes.out)} out`],
        ["received", counts(status.received)],
        ["sent", counts(status.sent)],
        ["refused", counts(status.refused)],
        ...status.refusedByPeer.slice(0, REFUSED_ROWS).map(({ peer, reasons }) =>
          [`  of ${visible(peer, 40)}`, counts(reasons)] as const
        ),
        ["free", sizeText(Math.max(0, status.freeBytes))],
        ["trash", trashText(status.trash)],
        ["memory", sizeText(status.memoryBytes)],
      ];
    },
  };
}

/** What the web may know. */
export function viewOf(service: Service, hostNames: ReadonlySet<string>): View {
  const { node, store, options } = service;
  const { membership, catalogue } = node.peer.state;
  return {
    hostNames,
    status: () => ({
      peerId: options.peerId,
      ...node.address,
      version: VERSION,
      uptimeSeconds: (performance.now() - node.startedMs) / 1000,
      synchronized: node.peer.synchronized,
      peers: membership.size,
      files: {
        known: catalogue.size,
        held: catalogue.heldCount,
        heldBytes: catalogue.heldBytes,
      },
      bytes: { in: node.transfers.bytesIn, out: node.transfers.bytesOut },
      freeBytes: store.freeBytes(),
      received: Object.fromEntries(node.counters.received),
      sent: Object.fromEntries(node.counters.sent),
      refused: Object.fromEntries(node.counters.refused.byReason),
      refusedByPeer: node.counters.refused.byPeer().map(({ who, counts }) => ({
        peer: who === OTHERS ? "(others)" : who,
        reasons: Object.fromEntries(counts),
      })),
      trash: store.removals.size,
      memoryBytes: Deno.memoryUsage().rss,
      work: service.work,
      transfers: node.transfers.running,
    }),
    peers: () =>
      [...membership.all()].map((record) => ({
        peerId: record.peerId,
        ...record.address,
        lastSeen: Math.round((Date.now() - (performance.now() - record.lastHeardMs)) / 1000),
        bootstrap: record.bootstrap,
        extended: record.extended,
        files: catalogue.holdingsOf(record.peerId),
        refused: record.refusals,
        leftAlone: leftAlone(service, record),
      })),
    files: () =>
      [...catalogue.all()].map(({ file, held, holders }) => ({
        file,
        held,
        holders: held ? [options.peerId, ...holders] : [...holders],
      })),
    content: (fileId) => {
      const entry = catalogue.get(fileId);
      const reader = entry?.held ? store.reader(fileId) : undefined;
      if (!entry || !reader) return undefined;
      return {
        file: entry.file,
        sizeBytes: reader.sizeBytes,
        readInto: (buffer) => reader.readInto(buffer),
        seek: (offset) => reader.seek(offset),
        close: () => reader.close(),
      };
    },
  };
}

/** The monotonic time of what happens outside an input to the machine. */
function leftAlone({ node }: Service, record: PeerRecord) {
  const { standing } = node.peer.state;
  const pause = standing.pause(placeOf(record), performance.now());
  return pause && { seconds: Math.ceil(pause.leftMs / 1000), why: pause.text };
}

function noteOn(service: Service, record: PeerRecord): string {
  const pause = leftAlone(service, record);
  const notes = [
    record.rival ? `also claimed by ${addressText(record.rival)}` : "",
    record.refusals > 0 ? `${record.refusals} refused from its address` : "",
    pause ? `left alone for ${durationText(pause.seconds)}: it ${pause.why}` : "",
  ];
  return notes.filter((note) => note !== "").join(", ");
}

function trashText({ files, bytes }: { files: number; bytes: number }): string {
  if (files === 0) return "empty";
  return `${count(files, "file")}, ${sizeText(bytes)}; "restore" brings them back within 24 hours`;
}
