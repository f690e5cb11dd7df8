// The page: what is there, is it safe, what is moving. Written by the server as plain tables, true at the moment of the
// request and complete without script; with script (browser/page.js) it stays true, and whoever is logged in changes
// things.

import { addressText } from "../../protocol/address.ts";
import { visible } from "../../protocol/text.ts";
import { durationText, sizeText } from "../../protocol/words.ts";
import { pageOf, type Query } from "../api/listing.ts";
import type { View, ViewedTransfer } from "../view.ts";
import { Icon, IconSheet } from "./icons.tsx";
import { Layout } from "./layout.tsx";
import { Drop, Help, Tabs } from "./overlays.tsx";
import { FileRow, PeerRow, TransferRow } from "./rows.tsx";

/** Files of one page without script; with it all are there. */
const PAGE_ROWS = 30;
const MAX_TRANSFERS = 30;
/** Transfers that are done are shown so long, and those that failed. */
const DONE_SECONDS = 60;
const FAILED_SECONDS = 3600;
/** Without script the page is asked for anew so often. */
const REFRESH_SECONDS = 15;

/** The page; `now` is Unix time, `query` what a browser without script looks for. */
export function StatusPage({ view, query, now }: Props) {
  const status = view.status();
  const name = visible(status.peerId, 60);
  return (
    <Layout
      title={`${name} · p2p-peer`}
      module="page"
      refreshSeconds={Object.keys(query).length === 0 ? REFRESH_SECONDS : undefined}
    >
      <IconSheet />
      <Head view={view} />
      <Figures view={view} />
      <main>
        <Files view={view} query={query} now={now} />
        <div class="side">
          <section id="share" aria-labelledby="share-title" data-panel="share">
            <h2 id="share-title">Share</h2>
            <p class="phone-only">
              <button type="button" class="main wide" data-pick>
                <Icon name="share" />Choose files
              </button>
            </p>
            <p class="quiet phone-only">Everybody on this network can fetch what you share.</p>
            <ul id="uploads" class="plain"></ul>
          </section>
          <Moving view={view} now={now} />
          <Network view={view} now={now} />
        </div>
        <section
          id="replication"
          aria-labelledby="replication-title"
          data-panel="network"
          class="scripted"
        >
          <h2 id="replication-title">Replication</h2>
          <p>
            <span id="matrix-words"></span>{" "}
            <button type="button" id="show-risk" class="quiet" hidden>Show files at risk</button>
          </p>
          <div class="picture">
            <canvas id="matrix" role="img" aria-label="Which peer holds which file"></canvas>
            <div id="matrix-tip" class="tip" hidden></div>
          </div>
          <p id="matrix-more" class="quiet"></p>
        </section>
      </main>
      <Tabs />
      <input
        id="pick"
        type="file"
        multiple
        class="away"
        tabindex={-1}
        aria-label="Files to share"
      />
      <dialog id="sheet" aria-labelledby="sheet-title">
        <div id="sheet-body"></div>
      </dialog>
      <Help />
      <Drop peerId={name} />
      <div id="notices" role="status" aria-live="polite"></div>
    </Layout>
  );
}

interface Props {
  readonly view: View;
  readonly query: Query;
  readonly now: number;
}

function Head({ view }: Pick<Props, "view">) {
  const status = view.status();
  const state = status.synchronized ? "synchronized" : status.peers > 0 ? "joining…" : "alone";
  return (
    <header class="bar">
      <a class="skip" id="skip" href="#file-scroll">Skip to the files</a>
      <h1>
        <img src="/icon.svg" alt="" width="20" height="20" />{" "}
        <bdi>{visible(status.peerId, 60)}</bdi>
      </h1>
      <p class="state">
        <span
          id="state-dot"
          class={`dot ${status.synchronized ? "good" : "risk"}`}
          aria-hidden="true"
        >
        </span>
        <span id="state-words">{state}</span>
      </p>
      <button type="button" id="address" class="quiet" title="Copy the address">
        <code>{visible(addressText(status))}</code>
        <Icon name="copy" />
        <span class="unseen">Copy the address</span>
      </button>
      <p class="quiet">
        <span id="uptime">up {durationText(status.uptimeSeconds)}</span>
        <span class="wide-only">{` · ${status.version}`}</span>
      </p>
      <div class="tools scripted">
        <button type="button" class="main changing wide-only" data-pick>
          <Icon name="share" />Share
        </button>
        <button type="button" id="enter" hidden>Log in</button>
        <button type="button" id="leave" class="quiet" hidden>Log out</button>
        <button type="button" id="theme" class="quiet square" aria-label="Theme">
          <Icon name="system" />
        </button>
        <button
          type="button"
          id="show-help"
          class="quiet square wide-only"
          aria-label="Keyboard"
          title="Keyboard"
        >
          <Icon name="help" />
        </button>
      </div>
      <p id="absent" class="banner risk" role="alert" hidden>
        This peer does not answer. What stands here was true a moment ago; the page comes back by
        itself.
      </p>
      <p id="warning" class="banner risk" role="status" hidden></p>
    </header>
  );
}

function Figures({ view }: Pick<Props, "view">) {
  const { files, peers, bytes, freeBytes } = view.status();
  const free = Math.max(0, freeBytes);
  return (
    <ul class="figures" aria-label="Figures">
      <li>
        <b>
          <span id="held">{files.held.toLocaleString("en")}</span>
          <span class="of">
            / <span id="known">{files.known.toLocaleString("en")}</span>
          </span>
        </b>
        <span>
          <span class="wide-only">{"files "}</span>here / known
        </span>
      </li>
      <li>
        <b id="peers-alive">{peers.toLocaleString("en")}</b>
        <span id="peers-words">{peers === 1 ? "peer" : "peers"}</span>
      </li>
      <li class="rate">
        <b id="rate-in">{sizeText(bytes.in)}</b>
        <span id="rate-in-words">in so far</span>
        <canvas id="spark-in" class="scripted" aria-hidden="true"></canvas>
      </li>
      <li class="rate">
        <b id="rate-out">{sizeText(bytes.out)}</b>
        <span id="rate-out-words">out so far</span>
        <canvas id="spark-out" class="scripted" aria-hidden="true"></canvas>
      </li>
      <li class="free">
        <b id="free">{sizeText(free)}</b>
        <span>free</span>
        <meter
          id="free-line"
          min={0}
          max={Math.max(1, free + files.heldBytes)}
          value={files.heldBytes}
          aria-label="Kept here, of what is there and free"
        >
        </meter>
      </li>
    </ul>
  );
}

const FILTERS = [
  ["all", "All"],
  ["here", "Here"],
  ["elsewhere", "Elsewhere"],
  ["mine", "Mine"],
] as const;

const COLUMNS = [
  ["name", "Name"],
  ["size", "Size"],
  ["owner", "Owner"],
  ["time", "When"],
  ["holders", "Who has it"],
] as const;

/** What a phone, which has no heads of columns to press, orders by. */
const ORDERS = [
  ["-time", "Newest first"],
  ["name", "By name"],
  ["-size", "Largest first"],
  ["owner", "By owner"],
  ["holders", "Fewest holders first"],
] as const;

/** The most, or the newest, first. */
const DOWN_FIRST: readonly string[] = ["size", "time", "holders"];

/** What a press on the head of a column orders by: the other way round where it is ordered by it already. */
function turned(key: string, sort: string): string {
  if (sort === key) return `-${key}`;
  if (sort === `-${key}`) return key;
  return DOWN_FIRST.includes(key) ? `-${key}` : key;
}

function directionOf(key: string, sort: string) {
  return sort === key ? "ascending" : sort === `-${key}` ? "descending" : undefined;
}

function Files({ view, query, now }: Props) {
  const { peerId } = view.status();
  const start = Number(query.start ?? 0);
  const page = pageOf(view.files(), {
    sort: "-time",
    ...query,
    start: String(start),
    limit: String(PAGE_ROWS),
  }, peerId);
  const where = query.where ?? "all";
  const sort = query.sort ?? "-time";
  const other = new URLSearchParams(Object.entries(query).filter(([key]) => key !== "start"));
  return (
    <section id="files" aria-labelledby="files-title" data-panel="files">
      <h2 id="files-title">
        Files <span id="file-count" class="quiet">{page.total.toLocaleString("en")}</span>
      </h2>
      <form id="find" role="search" method="get" action="/">
        <input type="hidden" name="sort" value={query.sort ?? "-time"} />
        <input type="hidden" name="where" value={where} />
        <label class="search">
          <Icon name="search" />
          <span class="unseen">Search the files</span>
          <input
            id="search"
            type="search"
            name="q"
            value={query.q ?? ""}
            placeholder="Search"
            autocomplete="off"
            spellcheck={false}
            maxlength={200}
          />
          <kbd class="wide-only scripted" aria-hidden="true">/</kbd>
        </label>
        <div class="chips" role="group" aria-label="Which files">
          {FILTERS.map(([value, words]) => (
            <button
              name="where"
              value={value}
              data-where={value}
              aria-pressed={String(value === where)}
            >
              {words}
            </button>
          ))}
          <button type="button" class="scripted" data-where="risk" aria-pressed="false">
            At risk
          </button>
          <button type="button" class="scripted" data-where="deleted" aria-pressed="false">
            Deleted
          </button>
        </div>
        <label class="order phone-only scripted">
          <span class="unseen">Order</span>
          <select id="order">
            {ORDERS.map(([value, words]) => <option value={value}>{words}</option>)}
          </select>
        </label>
        <button type="button" id="news" class="main" hidden></button>
      </form>
      <div id="file-table-box">
        <div id="file-scroll" class="scroll" tabindex={-1}>
          <table id="file-table">
            <caption class="unseen">Files of the network</caption>
            <thead>
              <tr>
                {COLUMNS.map(([key, words]) => (
                  <th
                    data-sort={key}
                    scope="col"
                    class={key === "size" ? "num" : key}
                    aria-sort={directionOf(key, sort)}
                  >
                    <button form="find" name="sort" value={turned(key, sort)}>{words}</button>
                  </th>
                ))}
                <th class="acts">
                  <span class="unseen">What to do</span>
                </th>
              </tr>
            </thead>
            <tbody id="file-rows">
              {page.files.map((viewed) => <FileRow viewed={viewed} now={now} />)}
            </tbody>
          </table>
          <div id="file-empty" class="empty" hidden={page.total > 0}>
            <p>
              {Object.keys(query).length > 0
                ? "Nothing fits."
                : "No files yet. Put one into the storage folder, and it is shared."}
            </p>
          </div>
        </div>
        {(page.next !== null || start > 0) && (
          <noscript>
            <p class="pages">
              {start > 0 && <a href={`/?${other}`}>First files</a>}{" "}
              {page.next !== null && <a href={`/?${withStart(other, page.next)}`}>More files</a>}
            </p>
          </noscript>
        )}
      </div>
      <div id="deleted" hidden></div>
    </section>
  );
}

function withStart(query: URLSearchParams, start: number): URLSearchParams {
  const next = new URLSearchParams(query);
  next.set("start", String(start));
  return next;
}

function Moving({ view, now }: Omit<Props, "query">) {
  const transfers = view.transfers().filter((each) => isNews(each, now)).reverse();
  return (
    <section id="moving" aria-labelledby="moving-title" data-panel="moving">
      <h2 id="moving-title">Moving now</h2>
      <div
        id="chart"
        class="scripted"
        role="img"
        aria-label="Rates in and out over the last three minutes"
      >
      </div>
      <ul id="transfers" class="plain">
        {transfers.slice(0, MAX_TRANSFERS).map((transfer) => <TransferRow transfer={transfer} />)}
      </ul>
      <p id="transfers-more" class="quiet"></p>
      <p id="transfers-empty" class="empty" hidden={transfers.length > 0}>
        Nothing moves. Fetch a file, or share one.
      </p>
    </section>
  );
}

/** What runs, what failed a while ago, and what was done just now. */
function isNews({ state, endedAt = 0 }: ViewedTransfer, now: number): boolean {
  return state === "running" || now - endedAt < (state === "done" ? DONE_SECONDS : FAILED_SECONDS);
}

function Network({ view, now }: Omit<Props, "query">) {
  const peers = view.peers();
  return (
    <section id="network" aria-labelledby="network-title" data-panel="network">
      <h2 id="network-title">Network</h2>
      <div id="map-box" class="picture scripted" hidden={peers.length === 0}>
        <canvas id="map" role="img" aria-label="Map of the peers"></canvas>
        <div id="map-tip" class="tip" hidden></div>
      </div>
      <div
        id="peer-box"
        class="scroll"
        hidden={peers.length === 0}
        tabindex={0}
        role="region"
        aria-label="Table of peers"
      >
        <table id="peer-table">
          <caption class="unseen">Peers that are alive</caption>
          <thead>
            <tr>
              {["Peer", "Address", "Last seen", "Files", "Kind", "Refused"].map((words) => (
                <th scope="col" class={words === "Files" ? "num" : ""}>{words}</th>
              ))}
            </tr>
          </thead>
          <tbody id="peer-rows">{peers.map((peer) => <PeerRow peer={peer} now={now} />)}</tbody>
        </table>
      </div>
      <div id="peer-empty" class="empty" hidden={peers.length > 0}>
        <p>No peers yet. Start another with</p>
        <p class="line">
          <code>p2p-peer NAME 8117 8118 --bootstrap {visible(addressText(view.status()))}</code>
        </p>
      </div>
    </section>
  );
}
