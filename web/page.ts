// The status page: peers and files as plain tables, true at the moment of the request, without script.

import { html } from "hono/html";
import { addressText } from "../protocol/address.ts";
import { durationText, sizeText } from "../protocol/words.ts";
import { timestampSeconds } from "../protocol/fileid.ts";
import { visible } from "../protocol/text.ts";
import type { View, ViewedFile, ViewedPeer } from "./view.ts";

/** Files shown; the API has them all. */
const MAX_ROWS = 500;
/** The page is asked for anew so often. */
const REFRESH_SECONDS = 10;

/** The page; `nowSeconds` is Unix time. Whatever a peer named is text here, never markup. */
export function statusPage(view: View, nowSeconds: number) {
  const status = view.status();
  const peers = view.peers();
  const files = view.files();
  const moving = view.transfers().filter((transfer) => transfer.state === "running");
  const state = status.synchronized ? "synchronized" : peers.length > 0 ? "joining…" : "alone";
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="refresh" content="${REFRESH_SECONDS}">
        <title>${visible(status.peerId)} · p2p-peer</title>
        <link rel="stylesheet" href="/style.css">
        <link rel="icon" href="/icon.svg" type="image/svg+xml">
      </head>
      <body>
        <header>
          <h1>${visible(status.peerId)}</h1>
          <p><span class="dot ${status.synchronized
            ? "good"
            : "waiting"}" aria-hidden="true"></span> ${state}
    · <code>${visible(addressText(status))}</code> · up ${durationText(
      status.uptimeSeconds,
    )}</p>
        </header>
        <main>
    <ul class="figures">
    <li><b>${status.files.held}</b> of ${status.files.known} files here</li>
    <li><b>${status.peers}</b> ${status.peers === 1 ? "peer" : "peers"}</li>
    <li><b>${sizeText(status.bytes.in)}</b> in</li>
    <li><b>${sizeText(status.bytes.out)}</b> out</li>
    <li><b>${sizeText(Math.max(0, status.freeBytes))}</b> free</li>
    </ul>
    ${moving.length === 0 ? "" : html`
      <section>
        <h2>Moving now</h2>
        <ul class="moving">${moving.slice(0, 50).map((transfer) =>
          html`<li>${transfer.direction === "in" ? "from" : "to"} ${visible(transfer.peer)}: ${
            visible(transfer.name, 80)
          } <progress value="${transfer.doneBytes}" max="${
            transfer.totalBytes ?? ""
          }"></progress></li>`
        )}</ul>
      </section>
    `}
    <section><h2>Peers</h2>${peerTable(peers, nowSeconds, status)}</section>
    <section><h2>Files</h2>${fileTable(files, nowSeconds)}</section>
        </main>
      </body>
    </html>
  `;
}

function peerTable(
  peers: readonly ViewedPeer[],
  nowSeconds: number,
  { host, port }: { host: string; port: number },
) {
  if (peers.length === 0) {
    return html`<p>No peers yet. Start another with
<code>p2p-peer NAME 8117 8118 --bootstrap ${visible(addressText({ host, port }))}</code></p>`;
  }
  return html`
    <div class="table">
      <table>
        <thead>
          <tr>
            <th>peer</th>
            <th>address</th>
            <th>last seen</th>
            <th>files</th>
          </tr>
        </thead>
        <tbody>${peers.map((peer) =>
          html`
            <tr>
              <td>${visible(peer.peerId)}${peer.bootstrap ? " (bootstrap)" : ""}${peer.leftAlone
                ? html`<br><span class="risk">left alone for ${
                  durationText(peer.leftAlone.seconds)
                }: it ${visible(peer.leftAlone.why)}</span>`
                : ""}</td>
              <td><code>${visible(addressText(peer))}</code></td>
              <td title="${new Date(peer.lastSeen * 1000).toISOString()}">${durationText(
                nowSeconds - peer.lastSeen,
              )} ago</td>
              <td>${peer.files}<span class="unit"> ${peer.files === 1
                ? "file"
                : "files"}</span></td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

function fileTable(files: readonly ViewedFile[], nowSeconds: number) {
  if (files.length === 0) {
    return html`<p>No files yet. Put one into the storage folder, and it is shared.</p>`;
  }
  return html`
    <div class="table">
      <table>
        <thead>
          <tr>
            <th>name</th>
            <th>size</th>
            <th>owner</th>
            <th>when</th>
            <th>who has it</th>
            <th>id</th>
          </tr>
        </thead>
        <tbody>${files.slice(0, MAX_ROWS).map(({ file, held, holders }) =>
          html`
            <tr>
              <td>${held
                ? html`<a href="/api/v1/files/${file.fileId}/content">${visible(file.name, 80)}</a>
<span class="good" title="content matches its id">✓</span>`
                : visible(file.name, 80)}</td>
              <td>${file.sizeBytes === undefined
                ? "?"
                : html`<span title="${file.sizeBytes} bytes">${
                  sizeText(file.sizeBytes)
                }</span>`}</td>
              <td>${visible(file.owner, 40)}</td>
              <td>${dateText(timestampSeconds(file.timestamp), nowSeconds)}</td>
              <td>${holders.length === 0
                ? "nobody"
                : holders.map((name) => visible(name, 40)).join(", ")}</td>
              <td><code title="${file.fileId}">${file.fileId.slice(0, 6)}…${file.fileId.slice(
                -4,
              )}</code></td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
    ${files.length > MAX_ROWS
      ? html`<p>${files.length - MAX_ROWS} more: <code>/api/v1/files</code></p>`
      : ""}
  `;
}

function dateText(seconds: number | undefined, nowSeconds: number) {
  if (seconds === undefined) return "invalid date";
  const exact = new Date(seconds * 1000).toISOString();
  const age = nowSeconds - seconds;
  return html`<span title="${exact}">${
    age < 0 ? exact.slice(0, 10) : `${durationText(age)} ago`
  }</span>`;
}
