// The column next to the files: transfers and peers.

import { addressText } from "../../protocol/wire/address.ts";
import { visible } from "../../protocol/wire/text.ts";
import { transferJson } from "../api/listing.ts";
import { isNews } from "../shared/transferwords.js";
import { limitsText, shownColumns, startLine, startWords } from "../shared/words.js";
import type { ViewedAway, ViewedPeer } from "../view.ts";
import { Icon } from "./icons.tsx";
import type { Props } from "./props.ts";
import { AwayRow, PeerRow, TransferRow } from "./rows.tsx";

const MAX_TRANSFERS = 30;

export function Moving({ view, now }: Pick<Props, "view" | "now">) {
  const transfers = view.transfers().map(transferJson).filter((each) => isNews(each, now))
    .reverse();
  return (
    <section id="moving" aria-labelledby="moving-title" data-panel="moving">
      <h2 id="moving-title">Moving now</h2>
      <div
        id="chart"
        class="scripted"
        role="img"
        aria-label="Transfer rates over the last three minutes"
      >
      </div>
      <p class="legend scripted">
        <span>
          <i class="line in" aria-hidden="true"></i>in <b id="legend-in">–</b>
        </span>
        <span>
          <i class="line out" aria-hidden="true"></i>out <b id="legend-out">–</b>
        </span>
        <button id="pacing" type="button" class="quiet">Limits</button>
        <span id="legend-at"></span>
      </p>
      <div id="transfers-box">
        <ul id="transfers" class="plain">
          {transfers.slice(0, MAX_TRANSFERS).map((transfer) => <TransferRow transfer={transfer} />)}
        </ul>
        <p id="transfers-more" class="quiet"></p>
        <p id="transfers-empty" class="empty" hidden={transfers.length > 0}>
          Nothing is moving. Fetch or share a file.
        </p>
      </div>
    </section>
  );
}

export function Network({ view, now }: Pick<Props, "view" | "now">) {
  const peers = view.peers();
  const away = view.away();
  const limits = limitsText(view.status().overloads);
  return (
    <section id="network" aria-labelledby="network-title" data-panel="network">
      <h2 id="network-title">Network</h2>
      <PeerMap isHidden={peers.length === 0} />
      <PeerTable peers={peers} away={away} now={now} />
      <div id="peer-empty" class="empty" hidden={peers.length > 0}>
        <p>{startWords(view.status())}</p>
        <p class="line">
          <code>{visible(startLine(view.status()))}</code>
        </p>
      </div>
      <form id="add-peer" class="scripted">
        <label class="search">
          Add a peer
          <input
            name="address"
            required
            placeholder="host:port"
            autocomplete="off"
          />
        </label>
        <button type="submit">Add</button>
      </form>
      <p id="limits" class="quiet" title="Limits reached since the start" hidden={limits === ""}>
        {limits}
      </p>
      <p class="phone-only quiet">
        This peer is at
        <button type="button" class="quiet scripted" data-copy-address title="Copy address">
          <code>{visible(addressText(view.status()))}</code>
          <Icon name="copy" />
          <span class="unseen">Copy address</span>
        </button>
      </p>
    </section>
  );
}

function PeerMap({ isHidden }: { isHidden: boolean }) {
  return (
    <div id="map-box" class="picture scripted" hidden={isHidden}>
      <canvas id="map" role="img" aria-label="Map of peers"></canvas>
      <div id="map-tip" class="tip" hidden></div>
      <ul class="legend plain">
        <li>
          <i class="dot own" aria-hidden="true"></i>this peer
        </li>
        <li>
          <i class="dot good" aria-hidden="true"></i>alive
        </li>
        <li>
          <i class="dot risk" aria-hidden="true"></i>quiet, or avoided (!)
        </li>
        <li>
          <i class="dot good ringed" aria-hidden="true"></i>bootstrap
        </li>
        <li>
          <i class="line in" aria-hidden="true"></i>transferring
        </li>
        <li>larger: more files</li>
      </ul>
    </div>
  );
}

const PEER_COLUMNS = [
  ["file", "Peer"],
  ["seen", "Last seen"],
  ["num", "Files"],
  ["kind", "Kind"],
  ["refused", "Refused"],
] as const;

function PeerTable(
  { peers, away, now }: Pick<Props, "now"> & {
    peers: readonly ViewedPeer[];
    away: readonly ViewedAway[];
  },
) {
  return (
    <div
      id="peer-box"
      class="scroll"
      hidden={peers.length + away.length === 0}
      tabindex={0}
      role="region"
      aria-label="Table of peers"
    >
      <table id="peer-table" class={shownColumns(peers)}>
        <caption class="unseen">Live peers, and those that left in the last day</caption>
        <thead>
          <tr>
            {PEER_COLUMNS.map(([kind, words]) => <th scope="col" class={kind}>{words}</th>)}
          </tr>
        </thead>
        <tbody id="peer-rows">
          {peers.map((peer) => <PeerRow peer={peer} now={now} />)}
          {away.map((peer) => <AwayRow peer={peer} now={now} />)}
        </tbody>
      </table>
    </div>
  );
}
