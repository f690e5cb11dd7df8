// The page's rows as the server renders them: a static version of what the browser modules draw later, without the
// controls that need JavaScript. Names that come from peers are always text, never markup.

import { addressText } from "../../protocol/wire/address.ts";
import { timestampSeconds } from "../../protocol/wire/fileid.ts";
import { visible } from "../../protocol/wire/text.ts";
import { holdersText, pipsText, safetyKind, safetyText } from "../shared/safety.js";
import {
  agoText,
  awayText,
  durationText,
  isoText,
  numberText,
  sizeText,
  splitName,
} from "../shared/words.js";
import { arrowOf, transferText } from "../shared/transferwords.js";
import type { TransferRow as TransferJson } from "../shared/types.d.ts";
import type { ViewedAway, ViewedFile, ViewedPeer } from "../view.ts";

export function FileRow({ viewed, now }: { readonly viewed: ViewedFile; readonly now: number }) {
  const { file, held, holders, lastHolders = [] } = viewed;
  const safe = { has_copy: held, peers_with_file: holders, last_holders: lastHolders };
  const bytes = file.sizeBytes ?? Math.round(file.size * 1024 ** 2);
  const seconds = timestampSeconds(file.timestamp);
  const content = `./api/v1/files/${file.fileId}/content`;
  return (
    <tr class="row" data-id={file.fileId}>
      <td class="file">
        <span class="name">
          {held
            ? (
              <a href={content}>
                <Name name={visible(file.name)} />
              </a>
            )
            : <Name name={visible(file.name)} />}
        </span>
        <span class="mark">
          {held && (
            <>
              <span class="good" title="content matches its id" aria-hidden="true">✓</span>
              <span class="unseen">kept here, content matches its id</span>
            </>
          )}
        </span>
      </td>
      <td class="num" title={file.sizeBytes === undefined ? undefined : `${bytes} bytes`}>
        {sizeText(bytes)}
      </td>
      <td class="owner">{visible(file.owner, 40)}</td>
      <td class="time" title={seconds === undefined ? undefined : isoText(seconds)}>
        {seconds === undefined ? "invalid date" : agoText(seconds, now)}
      </td>
      <td class="safe">
        <span class={`pips ${safetyKind(safe)}`} aria-hidden="true">{pipsText(safe)}</span>{" "}
        <span class="words" title={holdersText(safe)}>
          {safetyText(safe)}
        </span>
      </td>
      <td class="acts"></td>
    </tr>
  );
}

export function PeerRow({ peer, now }: { readonly peer: ViewedPeer; readonly now: number }) {
  const { backedOff } = peer;
  return (
    <tr>
      <td class="file">
        <bdi>{visible(peer.peerId, 60)}</bdi>
        <code>{visible(addressText(peer))}</code>
        <span class={`note ${backedOff ? "risk" : ""}`}>
          {backedOff
            ? `avoided for ${durationText(backedOff.seconds)}: it ${visible(backedOff.why)}`
            : peer.bootstrap
            ? "bootstrap"
            : ""}
        </span>
      </td>
      <td class="seen" title={isoText(peer.lastSeen)}>{agoText(peer.lastSeen, now)}</td>
      <td class="num">{numberText(peer.files)}</td>
      <td class="kind">{peer.extended ? "new" : "older"}</td>
      <td class="refused">{peer.refused > 0 ? `${peer.refused} refused` : ""}</td>
    </tr>
  );
}

export function AwayRow({ peer, now }: { readonly peer: ViewedAway; readonly now: number }) {
  return (
    <tr class="away-row">
      <td class="file">
        <bdi>{visible(peer.peerId, 60)}</bdi>
        <code>{visible(addressText(peer))}</code>
      </td>
      <td colspan={2} title={isoText(peer.lastSeen)}>{awayText(peer.lastSeen, now)}</td>
      <td class="kind"></td>
      <td class="refused"></td>
    </tr>
  );
}

/** A name that is shortened in the middle if it does not fit, as on the live page. */
function Name({ name }: { readonly name: string }) {
  const [head, tail] = splitName(name);
  return (
    <bdi class="whole-name" title={name}>
      <span class="head">{head}</span>
      <span class="tail">{tail}</span>
    </bdi>
  );
}

export function TransferRow({ transfer }: { readonly transfer: TransferJson }) {
  const { file_name, done_bytes, resumed_bytes, total_bytes, seconds, state } = transfer;
  const speed = seconds > 0 ? (done_bytes - resumed_bytes) / seconds : 0;
  return (
    <li class={`transfer ${state}`}>
      <p class="name">
        <span class="way" aria-hidden="true">{arrowOf(transfer)}</span>
        <Name name={visible(file_name, 120) || "a file"} />
      </p>
      {state === "running" && (
        <progress
          value={done_bytes}
          max={total_bytes ?? undefined}
          aria-label={`Progress of ${visible(file_name, 80)}`}
        />
      )}
      <p class={`words ${state === "failed" ? "failed" : ""}`}>{transferText(transfer, speed)}</p>
    </li>
  );
}
