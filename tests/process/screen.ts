// A terminal screen of unbounded height, rendered from a program's output: what a person would see.
// It supports the few escape sequences that a line editor uses and rejects all others, so that a sequence from
// any other source cannot go unnoticed.

const CSI = "\u001b[";

export class Screen {
  readonly #rows: string[][] = [[]];
  #row = 0;
  #column = 0;
  #rest = "";

  constructor(readonly columns: number) {}

  /** The rows from top to bottom, without trailing blanks. */
  get rows(): string[] {
    return this.#rows.map((cells) => Array.from(cells, (cell) => cell ?? " ").join("").trimEnd());
  }

  /** The cursor's row, counted from 0. */
  get row(): number {
    return this.#row;
  }

  get column(): number {
    return this.#column;
  }

  /** Renders the text. @throws Error for a control sequence that no line editor needs */
  write(text: string): void {
    let at = 0;
    const all = this.#rest + text;
    this.#rest = "";
    while (at < all.length) {
      const char = all[at]!;
      if (char === "\u001b") {
        const end = this.#sequence(all, at);
        if (end === undefined) {
          this.#rest = all.slice(at);
          return;
        }
        at = end;
        continue;
      }
      at++;
      if (char === "\r") this.#column = 0;
      else if (char === "\n") this.#moveTo(this.#row + 1);
      else if (char === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (char === "\u0007") continue; // the bell, for a key that does nothing
      else if (char < " " || (char >= "\u007f" && char < "\u00a0")) {
        throw new Error(`Control character ${JSON.stringify(char)} in ${around(all, at)}`);
      } else this.#put(char);
    }
  }

  /** Applies the sequence at this index. Returns the index after it, or undefined while it is incomplete. */
  #sequence(text: string, at: number): number | undefined {
    const head = text.slice(at, at + 2);
    if (head === "\u001b") return undefined;
    const match = head === CSI && /^[?]?([0-9;]*)([A-Za-z])/.exec(text.slice(at + 2, at + 20));
    if (!match) {
      if (head === CSI && text.length - at < 10) return undefined;
      throw new Error(`Escape sequence that a prompt does not need, in ${around(text, at)}`);
    }
    this.#act(match[2]!, match[1]!, around(text, at));
    return at + 2 + match[0].length;
  }

  #act(name: string, parameters: string, where: string): void {
    const [first = 0, second = 0] = parameters.split(";").map(Number);
    const count = first || 1;
    switch (name) {
      case "A":
        return this.#moveTo(this.#row - count);
      case "B":
        return this.#moveTo(this.#row + count);
      case "C":
        this.#column += count;
        return;
      case "D":
        this.#column = Math.max(0, this.#column - count);
        return;
      case "G":
        this.#column = count - 1;
        return;
      case "H":
        this.#column = (second || 1) - 1;
        return this.#moveTo(count - 1);
      case "J":
        this.#rows.length = this.#row + 1;
        this.#cells().length = Math.min(this.#column, this.#cells().length);
        return;
      case "K":
        if (first === 2) this.#cells().length = 0;
        else this.#cells().length = Math.min(this.#column, this.#cells().length);
        return;
      case "m": // color
      case "h": // modes such as bracketed paste
      case "l":
      case "n":
        return;
      default:
        throw new Error(`Escape sequence ${name} that a prompt does not need, in ${where}`);
    }
  }

  #put(char: string): void {
    if (this.#column >= this.columns) {
      this.#column = 0;
      this.#moveTo(this.#row + 1);
    }
    const cells = this.#cells();
    while (cells.length < this.#column) cells.push(" ");
    cells[this.#column++] = char;
  }

  #moveTo(row: number): void {
    this.#row = Math.max(0, row);
    while (this.#rows.length <= this.#row) this.#rows.push([]);
  }

  #cells(): string[] {
    return this.#rows[this.#row]!;
  }
}

const around = (text: string, at: number) =>
  JSON.stringify(text.slice(Math.max(0, at - 40), at + 40));
