// The log: lines of one format, written to one place, filtered by level.

import assert from "node:assert/strict";
import { configureLog, LEVELS } from "../../cli/log.ts";

Deno.test("a line has its time, its level and its text", async () => {
  const lines: string[] = [];
  const logger = await configureLog("INFO", (line) => lines.push(line));
  logger.info("{text}", { text: "hello {world} {text} 100%" });
  logger.warn("{text}", { text: "careful" });
  assert.equal(lines.length, 2);
  assert.match(lines[0]!, /^\d\d:\d\d:\d\d INFO +hello \{world\} \{text\} 100%$/);
  assert.match(lines[1]!, /^\d\d:\d\d:\d\d WARNING +careful$/);
});

Deno.test("only lines at the chosen level and above are logged, even after a change", async () => {
  const counts: number[] = [];
  for (const level of LEVELS) {
    let lines = 0;
    const logger = await configureLog(level, () => lines++);
    logger.trace("x");
    logger.debug("x");
    logger.info("x");
    logger.warn("x");
    logger.error("x");
    logger.fatal("x");
    counts.push(lines);
  }
  assert.deepEqual(LEVELS, ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]);
  assert.deepEqual(counts, [6, 5, 4, 3, 2, 1]);
});

Deno.test("as JSON, each line is an object with its time, level and text", async () => {
  const lines: string[] = [];
  const logger = await configureLog("INFO", (line) => lines.push(line), "json");
  logger.info("{text}", { text: 'a "quoted" line\nand {more}' });
  const [line] = lines.map((text) => JSON.parse(text));
  assert.deepEqual([line.level, line.text], ["INFO", 'a "quoted" line\nand {more}']);
  assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(Object.keys(line), ["time", "level", "text"]);
});
