// What is shown over the page or at its bottom: phone tabs, the list of keyboard shortcuts, and the drop target.

import { Icon } from "./icons.tsx";

const TABS = [["files", "Files"], ["moving", "Moving"], ["network", "Network"], [
  "share",
  "Share",
]] as const;

export function Tabs() {
  return (
    <nav class="tabs scripted" aria-label="Sections">
      {TABS.map(([name, words]) => (
        <button type="button" data-go={name}>
          <Icon name={name} />
          <span>{words}</span>
          {name === "moving" && <span id="moving-count" class="count"></span>}
        </button>
      ))}
    </nav>
  );
}

const KEYS = [
  ["/", "search"],
  ["↑ ↓", "browse files"],
  ["Enter", "details"],
  ["f", "fetch the file"],
  ["c", "copy its link"],
  ["s", "share files"],
  ["Esc", "close"],
  ["?", "this list"],
] as const;

export function Help() {
  return (
    <dialog id="help" aria-labelledby="help-title">
      <button type="button" class="quiet close" aria-label="Close">
        <Icon name="close" />
      </button>
      <h2 id="help-title">Shortcuts</h2>
      <dl class="keys">
        {KEYS.map(([key, words]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{words}</dd>
          </>
        ))}
      </dl>
    </dialog>
  );
}

export function Drop({ peerId }: { readonly peerId: string }) {
  return (
    <div id="drop" hidden>
      <p>
        Drop to share as <b>{peerId}</b>. Anyone on this network can fetch it.
      </p>
    </div>
  );
}
