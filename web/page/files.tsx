// The table of files, with a form to search, filter, and sort. Works without JavaScript; with it, browser/files.js
// takes over.

import { indexingJson } from "../api/listing.ts";
import { NEWEST_FIRST, turned } from "../shared/filelist.js";
import { visible } from "../../protocol/wire/text.ts";
import { indexingText, numberText, startLine, startWords } from "../shared/words.js";
import type { ViewedFile } from "../view.ts";
import { Icon } from "./icons.tsx";
import type { Props } from "./props.ts";
import { FileRow } from "./rows.tsx";

/** Files per page when JavaScript is off. With JavaScript, all files can be scrolled through. */
export const PAGE_ROWS = 30;

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
  ["time", "Modified"],
  ["holders", "Holders"],
] as const;

/** Sort orders offered on phones, which have no column headers to tap. */
const ORDERS = [
  [NEWEST_FIRST, "Newest first"],
  ["-time", "Last modified first"],
  ["name", "By name"],
  ["-size", "Largest first"],
  ["owner", "By owner"],
  ["holders", "Fewest holders first"],
] as const;

function directionOf(key: string, sort: string) {
  return sort === key ? "ascending" : sort === `-${key}` ? "descending" : undefined;
}

export function Files({ view, query, page, now }: Props) {
  const sort = query.sort ?? NEWEST_FIRST;
  return (
    <section id="files" aria-labelledby="files-title" data-panel="files">
      <div class="head-line">
        <h2 id="files-title">
          Files <span id="file-count" class="quiet">{numberText(page.total)}</span>
        </h2>
        <Indexing view={view} />
      </div>
      <Find query={query} sort={sort} />
      <div id="file-table-box">
        <div id="file-scroll" class="scroll" tabindex={-1}>
          <FileTable files={page.files} sort={sort} now={now} />
          <Empty view={view} isSearch={Object.keys(query).length > 0} isHidden={page.total > 0} />
        </div>
        <Pages query={query} next={page.next} />
      </div>
      <div id="deleted" hidden></div>
    </section>
  );
}

/** How far the folder has been indexed. Its line is next to the title, so nothing moves when it comes or goes. */
function Indexing({ view }: Pick<Props, "view">) {
  const indexing = indexingJson(view.status().indexing);
  const words = indexing ? indexingText(indexing) : "";
  return (
    <p id="indexing" class="quiet" title={words} hidden={!indexing}>
      <span id="indexing-words">{words}</span>
      <progress
        id="indexing-line"
        value={indexing?.bytes_done ?? 0}
        max={Math.max(1, indexing?.bytes_total ?? 0)}
        aria-label="Progress of indexing"
      />
    </p>
  );
}

function Find({ query, sort }: Pick<Props, "query"> & { sort: string }) {
  const where = query.where ?? "all";
  return (
    <form id="find" role="search" method="get" action="./">
      <input type="hidden" name="sort" value={sort} />
      <input type="hidden" name="where" value={where} />
      <label class="search">
        <Icon name="search" />
        <span class="unseen">Search files</span>
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
      <Filters where={where} />
      <label class="order scripted">
        <span class="unseen">Sort by</span>
        <select id="order">
          {ORDERS.map(([value, words]) => <option value={value}>{words}</option>)}
        </select>
      </label>
      <button type="button" id="news" class="main" hidden></button>
    </form>
  );
}

function Filters({ where }: { where: string }) {
  return (
    <div class="chips" role="group" aria-label="Filter files">
      {FILTERS.map(([value, words]) => (
        <button
          type="submit"
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
  );
}

function FileTable(
  { files, sort, now }: Pick<Props, "now"> & { files: readonly ViewedFile[]; sort: string },
) {
  return (
    <table id="file-table">
      <caption class="unseen">Files on the network</caption>
      <thead>
        <tr>
          {COLUMNS.map(([key, words]) => (
            <th
              data-sort={key}
              scope="col"
              class={key === "size" ? "num" : key}
              aria-sort={directionOf(key, sort)}
            >
              <button type="submit" form="find" name="sort" value={turned(key, sort)}>
                {words}
              </button>
            </th>
          ))}
          <th class="acts">
            <span class="unseen">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody id="file-rows">
        {files.map((viewed) => <FileRow viewed={viewed} now={now} />)}
      </tbody>
    </table>
  );
}

/** What the table says if it has no rows. */
function Empty(
  { view, isSearch, isHidden }: Pick<Props, "view"> & { isSearch: boolean; isHidden: boolean },
) {
  const status = view.status();
  return (
    <div id="file-empty" class="empty" hidden={isHidden}>
      <p>
        {isSearch ? "No matches." : "No files yet. Put one in the storage folder to share it."}
      </p>
      {status.peers === 0 && !isSearch && (
        <>
          <p>{startWords(status)}</p>
          <p class="line">
            <code>{visible(startLine(status))}</code>
          </p>
        </>
      )}
    </div>
  );
}

/** Links to other pages of the list, for browsers without JavaScript. */
function Pages({ query, next }: Pick<Props, "query"> & { next: string | null }) {
  const isFirst = query.start === undefined;
  if (next === null && isFirst) return null;
  const other = new URLSearchParams(Object.entries(query).filter(([key]) => key !== "start"));
  return (
    <noscript>
      <p class="pages">
        {!isFirst && <a href={`./?${other}`}>First page</a>}{" "}
        {next !== null && <a href={`./?${withStart(other, next)}`}>More files</a>}
      </p>
    </noscript>
  );
}

function withStart(query: URLSearchParams, start: string): URLSearchParams {
  const next = new URLSearchParams(query);
  next.set("start", start);
  return next;
}
