// The status page: what is there, is it safe, what is moving. The server renders it as plain tables, current as of the
// request and complete without JavaScript. With JavaScript (browser/page.js) it stays current, and logged-in users can
// make changes.

import { addressText } from "../../protocol/wire/address.ts";
import { visible } from "../../protocol/wire/text.ts";
import {
  durationText,
  numberText,
  sizeText,
  stateText,
  troubleTexts,
  warningText,
} from "../shared/words.js";
import { Files } from "./files.tsx";
import { Icon, IconSheet } from "./icons.tsx";
import { Layout } from "./layout.tsx";
import { Drop, Help, Tabs } from "./overlays.tsx";
import type { Props } from "./props.ts";
import { Moving, Network } from "./side.tsx";

/** Interval between reloads when JavaScript is off, in seconds. */
const REFRESH_SECONDS = 15;

/** Renders the page. `now` is Unix time in seconds; `query` is the search of a browser without JavaScript. */
export function StatusPage({ view, query, page, now }: Props) {
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
        <Files view={view} query={query} page={page} now={now} />
        <div class="side">
          <Share />
          <Moving view={view} now={now} />
          <Network view={view} now={now} />
        </div>
        <Replication />
      </main>
      <Tabs />
      <Pickers />
      <dialog id="sheet" aria-labelledby="sheet-title">
        <div id="sheet-body"></div>
      </dialog>
      <Help />
      <Drop peerId={name} />
      <div id="notices" role="status" aria-live="polite"></div>
      <p id="heard" class="unseen" role="status"></p>
    </Layout>
  );
}

function Share() {
  return (
    <section id="share" aria-labelledby="share-title" data-panel="share">
      <h2 id="share-title">Share</h2>
      <p class="phone-only">
        <button type="button" class="main wide" data-pick>
          <Icon name="share" />Choose files
        </button>
      </p>
      <p class="phone-only">
        <button type="button" class="wide" data-pick-folder>
          <Icon name="folder" />Choose a folder
        </button>
      </p>
      <p class="quiet phone-only">Anyone on this network can fetch what you share.</p>
      <ul id="uploads" class="plain"></ul>
    </section>
  );
}

function Replication() {
  return (
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
      <MatrixLegend />
      <p id="matrix-more" class="quiet"></p>
    </section>
  );
}

function MatrixLegend() {
  return (
    <ul class="legend plain">
      <li>
        <i class="cell good" aria-hidden="true"></i>also held elsewhere
      </li>
      <li>
        <i class="cell risk" aria-hidden="true"></i>the only holder
      </li>
      <li>
        <i class="cell risk faint" aria-hidden="true"></i>all holders are away
      </li>
      <li>
        <i class="cell failed faint" aria-hidden="true"></i>nobody has it
      </li>
      <li>one column per file, one row per peer</li>
    </ul>
  );
}

/** The inputs that open the file picker and the folder picker. */
function Pickers() {
  return (
    <>
      <input
        id="pick"
        type="file"
        multiple
        class="away"
        tabindex={-1}
        aria-label="Files to share"
      />
      <input
        id="pick-folder"
        type="file"
        multiple
        {...{ webkitdirectory: true }}
        class="away"
        tabindex={-1}
        aria-label="Folder to share"
      />
    </>
  );
}

function Head({ view }: Pick<Props, "view">) {
  const status = view.status();
  return (
    <header class="bar">
      <a class="skip" id="skip" href="#file-scroll">Skip to files</a>
      <h1>
        <img src="./icon.svg" alt="" width="20" height="20" />{" "}
        <bdi>{visible(status.peerId, 60)}</bdi>
      </h1>
      <p class="state">
        <span
          id="state-dot"
          class={`dot ${status.synchronized ? "good" : "risk"}`}
          aria-hidden="true"
        >
        </span>
        <span id="state-words">{stateText(status)}</span>
      </p>
      <button
        type="button"
        id="address"
        class="quiet wide-only"
        data-copy-address
        title="Copy address"
      >
        <code>{visible(addressText(status))}</code>
        <Icon name="copy" />
        <span class="unseen">Copy address</span>
      </button>
      <p class="quiet wide-only">
        <span id="uptime">up {durationText(status.uptimeSeconds)}</span>
        {` · ${status.version}`}
      </p>
      <Tools />
      <Banners view={view} />
    </header>
  );
}

function Tools() {
  return (
    <div class="tools scripted">
      <button type="button" class="main changing wide-only" data-pick>
        <Icon name="share" />Share
      </button>
      <button
        type="button"
        class="square changing wide-only"
        aria-label="Share a folder"
        title="Share a folder"
        data-pick-folder
      >
        <Icon name="folder" />
      </button>
      <button type="button" id="enter" hidden>Log in</button>
      <button type="button" id="leave" class="quiet" hidden>Log out</button>
      <button type="button" id="theme" class="quiet square" aria-label="Theme">
        <Icon name="system" />
      </button>
      <Tool id="show-code" label="Open on a phone" icon="phone" />
      <Tool id="show-help" label="Keyboard shortcuts" icon="help" />
    </div>
  );
}

/** A button that shows only an icon, where there is space for it. */
function Tool(
  { id, label, icon }: { readonly id: string; readonly label: string; readonly icon: string },
) {
  return (
    <button type="button" id={id} class="quiet square wide-only" aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}

function Banners({ view }: Pick<Props, "view">) {
  const { freeBytes, bootstrapTroubles, nameTakenBy, reach } = view.status();
  const facts = {
    free_bytes: freeBytes,
    name_taken_by: nameTakenBy ?? null,
    unreachable: reach ?? null,
  };
  const warning = visible(warningText(facts), 1_000);
  const troubles = troubleTexts(bootstrapTroubles);
  return (
    <>
      <p id="absent" class="banner risk" role="alert" hidden>
        This peer is not responding. The page shows its last known state and reconnects
        automatically.
      </p>
      <p id="warning" class="banner risk" role="status" hidden={warning === ""}>{warning}</p>
      <p id="troubles" class="banner risk" hidden={troubles === ""}>{troubles}</p>
    </>
  );
}

function Figures({ view }: Pick<Props, "view">) {
  const { files, peers, bytes, freeBytes } = view.status();
  const free = Math.max(0, freeBytes);
  return (
    <ul class="figures" aria-label="Statistics">
      <li class="files">
        <b>
          <span id="held">{numberText(files.held)}</span>
          <span class="of">
            / <span id="known">{numberText(files.known)}</span>
          </span>
        </b>
        <span>
          <span class="wide-only">here / known&nbsp;</span>files
        </span>
      </li>
      <li>
        <b id="peers-alive">{numberText(peers)}</b>
        <span id="peers-words">{peers === 1 ? "peer" : "peers"}</span>
      </li>
      <li class="rate">
        <b id="rate-in">{sizeText(bytes.in)}</b>
        <span id="rate-in-words">total in</span>
        <canvas id="spark-in" class="scripted" aria-hidden="true"></canvas>
      </li>
      <li class="rate">
        <b id="rate-out">{sizeText(bytes.out)}</b>
        <span id="rate-out-words">total out</span>
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
          aria-label="Disk space used by files kept here"
        >
        </meter>
      </li>
    </ul>
  );
}
