// @ts-check
// The page's shell: phone tabs, theme, and title.

import { byId } from "./dom.js";
import { tabTitle } from "./figures.js";
import { when } from "./live.js";
import { go, place } from "./place.js";

const THEMES = ["system", "light", "dark"];

function drawTab() {
  if (document.body.dataset["tab"] !== place.tab) document.body.dataset["tab"] = place.tab;
  for (const tab of document.querySelectorAll("[data-go]")) {
    if (tab.getAttribute("data-go") === place.tab) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

function startTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const current = () => root.dataset["theme"] ?? "system";
  const draw = () => {
    button.setAttribute("aria-label", `Theme: ${current()}`);
    button.title = `Theme: ${current()}`;
    for (const use of button.querySelectorAll("use")) use.setAttribute("href", `#i-${current()}`);
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length] ?? "system";
    if (next === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Storage is not allowed: the choice lasts until the page is reloaded.
    }
    draw();
    dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener(
    "change",
    () => dispatchEvent(new Event("themechange")),
  );
  draw();
}

export function startShell() {
  // Done here because the URL's hash holds the view, so the link itself cannot use it.
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    go({ tab: "files" });
    byId("file-scroll").focus();
  });
  startTheme();
  for (const tab of document.querySelectorAll("[data-go]")) {
    tab.addEventListener(
      "click",
      () => go({ tab: tab.getAttribute("data-go") ?? "files" }, { isStep: true }),
    );
  }
  when(["place"], drawTab);
  when(["status"], () => {
    document.title = tabTitle();
  });
}
