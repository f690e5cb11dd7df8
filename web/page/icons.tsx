// The page's icons, 16 by 16, in the color of the surrounding text.

const PATHS: Readonly<Record<string, string>> = {
  download: "M8 2v8m-3.5-3.5L8 10l3.5-3.5M3 13.5h10",
  share: "M8 10V2.5M4.5 6 8 2.5 11.5 6M3 13.5h10",
  folder: "M1.5 3h4.5l1.5 2h7v8.5h-13z",
  check: "m3 8.5 3.5 3.5L13 4.5",
  cross: "M8 4v5m0 2.5v.5M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Z",
  close: "m4 4 8 8m0-8-8 8",
  copy: "M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Zm3.3 7.8 3.2 3.2",
  files: "M3.5 1.5h6l3 3v10h-9zM9 1.5v3.5h3.5",
  moving: "M5 13V3M2.5 5.5 5 3l2.5 2.5M11 3v10m-2.5-2.5L11 13l2.5-2.5",
  network:
    "M8 6.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3ZM3 1.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3Zm10 0a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3Zm-10 10a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3Zm10 0a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3ZM4.2 4.2l2.7 2.7m2.2 2.2 2.7 2.7m0-7.6L9.1 6.9M6.9 9.1l-2.7 2.7",
  system: "M1.5 3h13v8h-13zM5.5 13.5h5",
  light:
    "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6Zm0-4v1.5m0 11V15M1 8h1.5m11 0H15M3 3l1.1 1.1m7.8 7.8L13 13M3 13l1.1-1.1m7.8-7.8L13 3",
  dark: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z",
  phone: "M4.5 1.5h7v13h-7zM7 12h2",
  help:
    "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM6 6.2a2 2 0 1 1 2.8 1.9c-.5.3-.8.6-.8 1.3m0 1.8v.3",
};

/** All icons, included once per page. `Icon` and browser/dom.js reference them by id. */
export function IconSheet() {
  return (
    <svg class="sheet-of-icons" aria-hidden="true" width="0" height="0">
      {Object.entries(PATHS).map(([name, path]) => (
        <symbol id={`i-${name}`} viewBox="0 0 16 16">
          <path d={path} />
        </symbol>
      ))}
    </svg>
  );
}

export function Icon({ name }: { readonly name: string }) {
  return (
    <svg class="icon" aria-hidden="true">
      <use href={`#i-${name}`} />
    </svg>
  );
}
