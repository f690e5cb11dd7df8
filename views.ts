// The running peer as others may see it: the prompt's commands and the web's view, made from the service.
// Only translation lives here; nothing is decided.

import { addressText } from "./protocol/address.ts";
import { durationText, sizeText } from "./protocol/words.ts";
import { VERSION } from "./cli/arguments.ts";
import type { Commands } from "./cli/commands.ts";
import type { View } from "./web/view.ts";
import type { Service } from "./service.ts";

/** What the prompt may do; `exit` and the log level belong to who runs the peer. */
export function commandsOf(
  service: Service,
  { setLogLevel, exit }: Pick<Commands, "setLogLevel" | "exit">,
): Commands {
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
        note: record.rival ? `also claimed by ${addressText(record.rival)}` : "",
      })),
    get: async (what, destination) => {
      const { file } = service.find(what);
      const source = await service.get(file.fileId);
      const path = destination === undefined
        ? undefined
        : await service.copyOut(file.fileId, destination);
      return { source, path, name: file.name };
    },
    push: (path) => service.push(path),
    delete: (text) => {
      const { file } = service.find(text);
      return { name: file.name, where: service.delete(file.fileId) };
    },
    restore: (text) => service.restore(text),
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
        ["free", sizeText(Math.max(0, status.freeBytes))],
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
      refused: Object.fromEntries(node.counters.refused),
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
