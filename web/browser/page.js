// @ts-check
// The page in the browser: logs in by the link of the first start, keeps its tables true by the events of the peer,
// and shares, fetches, deletes and cancels. The server writes every row, so nothing that a peer named becomes markup
// here: what is shown comes from the same page, asked for anew.

/** Events are gathered for so long before the tables are asked for anew. */
const GATHER_MS = 150;
/** Where nothing else changes, the figures are asked for this often. */
const STATUS_MS = 5_000;
/** Tables are not asked for more often than this. */
const PAUSE_MS = 400;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} text @param {"good" | "failed" | ""} [kind] */
function say(text, kind = "") {
  const line = byId("said");
  line.textContent = text;
  line.className = kind;
}

/** @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} Throws an Error in words. */
async function ask(path, init = {}) {
  const response = await fetch(path, init);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(`${problem.detail ?? response.statusText}. ${problem.hint ?? ""}`);
}

// Login

async function enter() {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  // It must not stay in the history, nor be seen over a shoulder.
  history.replaceState(null, "", location.pathname);
  try {
    const body = JSON.stringify({ token });
    await ask("/api/v1/session", { method: "POST", body });
    say("Logged in: you can share, fetch and delete here", "good");
  } catch (error) {
    say(String(/** @type {Error} */ (error).message), "failed");
  }
}

async function showSession() {
  const session = await (await ask("/api/v1/session")).json();
  document.body.classList.toggle("may-change", session.logged_in);
  byId("leave").hidden = !session.logged_in || !session.login_needed;
  byId("how").hidden = session.logged_in;
}

// Tables

let wanted = 0;
let drawnMs = 0;
let isAsking = false;

/** Asks for the tables anew, soon, once for many reasons. */
function refresh() {
  if (++wanted > 1 || isAsking) return;
  setTimeout(draw, GATHER_MS);
}

async function draw() {
  isAsking = true;
  wanted = 0;
  drawnMs = performance.now();
  try {
    const text = await (await ask(location.pathname)).text();
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const id of ["state", "tables"]) {
      const fresh = page.getElementById(id);
      if (fresh) replace(byId(id), fresh);
    }
  } catch {
    return; // the events say when the peer is there again
  } finally {
    setTimeout(() => {
      isAsking = false;
      if (wanted > 0) draw();
    }, PAUSE_MS);
  }
}

/** Replaces what differs and keeps the focus where it was. @param {HTMLElement} old @param {HTMLElement} fresh */
function replace(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement : null;
  const { act, id } = focused?.dataset ?? {};
  old.replaceChildren(...fresh.childNodes);
  if (!act || !id) return;
  for (const button of old.querySelectorAll("button")) {
    if (button.dataset.act === act && button.dataset.id === id) button.focus();
  }
}

function watch() {
  const events = new EventSource("/api/v1/events");
  for (const type of ["files", "peers", "transfers", "reset"]) {
    events.addEventListener(type, refresh);
  }
  // It changes every second, if only by a second; the figures may be a little older.
  events.addEventListener("status", () => {
    if (performance.now() - drawnMs > STATUS_MS) refresh();
  });
  events.addEventListener("open", () => document.body.classList.remove("gone"));
  events.addEventListener("error", () => {
    document.body.classList.add("gone");
    // Some errors are for good (503 when too many watch): then it is tried again by hand.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 5_000);
  });
}

// Changes

/** @type {Readonly<Record<string, (id: string) => Promise<string>>>} */
const acts = {
  async fetch(id) {
    await ask(`/api/v1/files/${id}/fetch`, { method: "POST" });
    return "It is being fetched";
  },
  async delete(id) {
    const { where } = await (await ask(`/api/v1/files/${id}`, { method: "DELETE" })).json();
    return `Deleted ${where}; "restore" at the prompt brings it back within 24 hours`;
  },
  async cancel(id) {
    await ask(`/api/v1/transfers/${id}`, { method: "DELETE" });
    return "Cancelled";
  },
  async retry(id) {
    await ask(`/api/v1/transfers/${id}/retry`, { method: "POST" });
    return "It is being fetched again";
  },
};

addEventListener("click", async (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const act = acts[button?.dataset.act ?? ""];
  if (!button || !act) return;
  button.disabled = true;
  try {
    say(await act(button.dataset.id ?? ""), "good");
  } catch (error) {
    say(String(/** @type {Error} */ (error).message), "failed");
    button.disabled = false;
  }
  refresh();
});

document.getElementById("leave")?.addEventListener("click", async () => {
  await ask("/api/v1/session", { method: "DELETE" });
  say("Logged out");
  await showSession();
  refresh();
});

// Sharing

/** One after the other, with how far each is. @param {Iterable<File>} files */
async function share(files) {
  for (const file of files) {
    try {
      await send(file);
      say(`${file.name} is shared`, "good");
    } catch (error) {
      say(`${file.name} is not shared: ${/** @type {Error} */ (error).message}`, "failed");
    }
  }
}

/** @param {File} file */
function send(file) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest(); // fetch cannot say how far a body is
    request.open("POST", "/api/v1/files");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.setRequestHeader("X-File-Timestamp", String(Math.floor(file.lastModified / 1000)));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => {
      say(`Sharing ${file.name}: ${Math.floor(100 * loaded / Math.max(1, total))} %`);
    };
    request.onload = () => {
      if (request.status === 201) return done(undefined);
      let words = "";
      try {
        const { detail, hint } = JSON.parse(request.responseText);
        words = `${detail}. ${hint}`;
      } catch {
        words = `status ${request.status}`;
      }
      fail(new Error(words));
    };
    request.onerror = () => fail(new Error("The connection broke off. Try again"));
    request.send(file);
  });
}

const picker = /** @type {HTMLInputElement | null} */ (document.getElementById("pick"));
picker?.addEventListener("change", async () => {
  await share([...picker.files ?? []]);
  picker.value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!document.body.classList.contains("may-change")) {
    say('Log in first: open the link that "login" shows at the prompt', "failed");
    return;
  }
  share([...event.dataTransfer?.files ?? []]);
});

/** Begins once; where reading is private, only behind the login. */
async function begin() {
  await enter();
  if (document.body.classList.contains("locked")) {
    const { logged_in } = await (await ask("/api/v1/session")).json();
    if (logged_in) location.reload();
    return;
  }
  await showSession();
}

addEventListener("hashchange", begin);
await begin();
if (!document.body.classList.contains("locked")) watch();
