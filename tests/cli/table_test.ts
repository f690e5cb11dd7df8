// Tables of plain text, and figures as people read them.

import assert from "node:assert/strict";
import { table } from "../../cli/table.ts";

Deno.test("columns are as wide as their widest cell, and lines end without spaces", () => {
  assert.equal(
    table(["id", "name"], [["1", "a"], ["1000", "bb"], ["20", ""]]),
    "id    name\n1     a\n1000  bb\n20",
  );
});

Deno.test("a table without rows is its head", () => {
  assert.equal(table(["id", "name"], []), "id  name");
});

Deno.test("a short row is filled up as far as it goes", () => {
  assert.equal(table(["a", "b", "c"], [["1"], ["1", "2", "3"]]), "a  b  c\n1\n1  2  3");
});
