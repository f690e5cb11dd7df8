// Plain-text tables.

import assert from "node:assert/strict";
import { table } from "../../cli/table.ts";

Deno.test("columns are as wide as their widest cell, and lines have no trailing spaces", () => {
  assert.equal(
    table(["id", "name"], [["1", "a"], ["1000", "bb"], ["20", ""]]),
    "id    name\n1     a\n1000  bb\n20",
  );
});

Deno.test("a table without rows is its header", () => {
  assert.equal(table(["id", "name"], []), "id  name");
});

Deno.test("a short row is padded only up to its last cell", () => {
  assert.equal(table(["a", "b", "c"], [["1"], ["1", "2", "3"]]), "a  b  c\n1\n1  2  3");
});
