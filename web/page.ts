// The page: peers, files and transfers as plain tables, true at the moment of the request, also without script.
// With script (browser/page.js) it stays true, and whoever is logged in changes things; then the same rows are asked
// for anew, so that what a peer named is written in one place, as text.

import { html } from "hono/html";
import { addressText } from "../protocol/address.ts";
import { durationText, sizeText } from "../protocol/words.ts";
import { timestampSeconds } from "../protocol/fileid.ts";
import { visible } from "../protocol/text.ts";
import type { View, ViewedFile, ViewedPeer, ViewedTransfer } from "./view.ts";

/** Files shown; the API has them all. */
const MAX_ROWS = 500;
const MAX_TRANSFERS = 50;
/** Transfers that are done are shown so long, and those that failed. */
const DONE_SECONDS = 60;
const FAILED_SECONDS = 3600;
/** Without script the page is asked for anew so often. */
const REFRESH_SECONDS = 10;

/** The page; `nowSeconds` is Unix time. Whatever a peer named is text here, never markup. */
export function statusPage(view: View, nowSeconds: number) {
  const status = view.status();
  const peers = view.peers();
  const files = view.files();
  const transfers = view.transfers().filter((transfer) => isNews(transfer, nowSeconds)).reverse();
  const state = status.synchronized ? "synchronized" : peers.length > 0 ? "joining…" : "alone";
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <noscript><meta http-equiv="refresh" content="${REFRESH_SECONDS}"></noscript>
        <title>${visible(status.peerId)} · p2p-peer</title>
        <link rel="stylesheet" href="/style.css">
        <link rel="icon" href="/icon.svg" type="image/svg+xml">
        <script type="module" src="/page.js"></script>
      </head>
      <body>
        <header>
          <h1>${visible(status.peerId)}</h1>
          <p id="state"><span class="dot ${status.synchronized
            ? "good"
            : "waiting"}" aria-hidden="true"></span> ${state}
    · <code>${visible(addressText(status))}</code> · up ${durationText(
      status.uptimeSeconds,
    )}</p>
          <p
            class="scripted"><label class="share changing">Share files<input type="file" id="pick" multiple></label>
            <button type="button" id="leave" hidden>Log out</button>
            <span id="how" hidden>To share, fetch and delete here, open the link that <code>login</code> shows at the
              prompt.</span></p>
          <p id="said" role="status"></p>
          <p class="absent"
            role="alert">This peer does not answer. What stands here was true a moment ago; the page comes
            back by itself.</p>
        </header>
        <main id="tables">
    <ul class="figures">
    <li><b>${status.files.held}</b> of ${status.files.known} files here</li>
    <li><b>${status.peers}</b> ${status.peers === 1 ? "peer" : "peers"}</li>
    <li><b>${sizeText(status.bytes.in)}</b> in</li>
    <li><b>${sizeText(status.bytes.out)}</b> out</li>
    <li><b>${sizeText(Math.max(0, status.freeBytes))}</b> free</li>
    </ul>
    ${transfers.length === 0
      ? ""
      : html`<section><h2>Moving</h2>${transferList(transfers, nowSeconds)}</section>`}
    <section><h2>Peers</h2>${peerTable(peers, nowSeconds, status)}</section>
    <section><h2>Files</h2>${fileTable(files, nowSeconds, status.peerId)}</section>
        </main>
      </body>
    </html>
  `;
}

/** What stands in the place of the page for who is not logged in, where `--web-read private` is set. */
export function lockedPage() {
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>p2p-peer</title>
        <link rel="stylesheet" href="/style.css">
        <link rel="icon" href="/icon.svg" type="image/svg+xml">
        <script type="module" src="/page.js"></script>
      </head>
      <body class="locked">
        <header>
          <h1>A private peer</h1>
          <p>It shows itself after a login: open the link that <code>login</code> shows at its prompt.</p>
          <p id="said" role="status"></p>
        </header>
      </body>
    </html>
  `;
}

/** What runs, what failed a while ago, and what was done just now. */
function isNews({ state, endedAt = 0 }: ViewedTransfer, nowSeconds: number): boolean {
  return state === "running" ||
    nowSeconds - endedAt < (state === "done" ? DONE_SECONDS : FAILED_SECONDS);
}

function transferList(transfers: readonly ViewedTransfer[], nowSeconds: number) {
  return html`<ul class="moving">${
    transfers.slice(0, MAX_TRANSFERS).map((transfer) => {
      const { direction, peer, name, doneBytes, totalBytes, seconds, state, why } = transfer;
      const speed = seconds > 0 ? doneBytes / seconds : 0;
      const way = `${direction === "in" ? "from" : "to"} ${visible(peer, 40)}`;
      const left = totalBytes === undefined || speed === 0
        ? undefined
        : (totalBytes - doneBytes) / speed;
      const total = totalBytes === undefined ? "" : ` of ${sizeText(totalBytes)}`;
      return html`<li><span class="name">${visible(name, 80) || "a file"}</span>${
        state === "running"
          ? html`<progress value="${doneBytes}" max="${totalBytes ?? ""}"></progress>
<span>${sizeText(doneBytes)}${total} · ${sizeText(speed)}/s${
            left === undefined ? "" : ` · ${durationText(left)} left`
          } · ${way}</span>
${button("cancel", String(transfer.id), "Cancel", name)}`
          : state === "done"
          ? html`<span><span class="good" aria-hidden="true">✓</span> done in ${
            durationText(seconds)
          } · ${way}</span>`
          : html`<span class="failed">${state === "failed" ? "✗ failed" : "cancelled"}: ${
            visible(why ?? "", 200)
          } · ${durationText(nowSeconds - (transfer.endedAt ?? nowSeconds))} ago</span>
${
            transfer.kind === "fetch" && transfer.fileId !== ""
              ? button("retry", String(transfer.id), "Retry", name)
              : ""
          }`
      }</li>`;
    })
  }</ul>`;
}

/** What script makes a change of; not shown to who may not. */
function button(act: string, id: string, words: string, name: string) {
  return html`
    <button type="button" class="changing" data-act="${act}" data-id="${id}"
      aria-label="${words} ${visible(name, 80)}">${words}</button>
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

function fileTable(files: readonly ViewedFile[], nowSeconds: number, owner: string) {
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
            <th class="changing"></th>
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
              <td class="changing">${held
                ? button(
                  "delete",
                  file.fileId,
                  file.owner === owner ? "Delete" : "Remove here",
                  file.name,
                )
                : holders.length > 0
                ? button("fetch", file.fileId, "Fetch", file.name)
                : ""}</td>
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
