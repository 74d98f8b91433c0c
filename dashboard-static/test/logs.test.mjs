import assert from "node:assert/strict";
import test from "node:test";
import { runsOf } from "../js/ansi.js";
import { asText, LINES_KEPT, LogReader, narrowed } from "../js/log-lines.js";

Object.assign(globalThis, { requestAnimationFrame: () => 1 });

test("terminal colours are runs of text, all else of an escape is left out", () => {
  const text = (/** @type {string} */ line) =>
    runsOf(line)
      .map((run) => run.text)
      .join("");
  assert.deepEqual(runsOf("\u001b[1;31mbad\u001b[0m <b>"), [
    { text: "bad", class: "ansi-1 bold" },
    { text: " <b>", class: "" },
  ]);
  assert.deepEqual(runsOf("\u001b[38;5;196mred\u001b[38;2;1;2;31mx"), [
    { text: "red", class: "" },
    { text: "x", class: "" },
  ]);
  assert.equal(text("\u001b]0;title\u0007a\u001b[2Jb\u001b[31mc"), "abc");
  assert.equal(text("\u001b[31ma\u202eb"), "a�b");
});

test("lines are narrowed by level and text; those without a level and notes stay", () => {
  /** @type {import("../js/log-lines.js").LogLine[]} */
  const lines = [
    { source: 0, level: "error", text: "Disk full" },
    { source: 0, level: "debug", text: "disk ok" },
    { source: 0, text: "disk?" },
    { source: 0, text: "7 lines", note: true },
  ];
  const kept = (/** @type {string} */ level, /** @type {string} */ text) =>
    narrowed(lines, level, text).map((line) => line.text);
  assert.deepEqual(kept("", ""), ["Disk full", "disk ok", "disk?", "7 lines"]);
  assert.deepEqual(kept("warn", ""), ["Disk full", "disk?", "7 lines"]);
  assert.deepEqual(kept("", "FULL"), ["Disk full", "7 lines"]);
});

test("a reader keeps a bound of lines, and counts those that went", () => {
  const reader = new LogReader(new URLSearchParams());
  const many = Array.from({ length: 50_000 }, (_, at) => ({ source: 0, text: String(at) }));
  for (let turn = 0; turn < 6; turn += 1) reader.add(many);
  assert.equal(reader.lines.length + reader.gone, 300_000);
  assert.ok(reader.lines.length <= LINES_KEPT * 1.1);
  assert.equal(reader.lines.at(-1)?.text, "49999");
});

test("a file of the lines says when and where", () => {
  const places = ["a", "b"].map((name, source) => ({
    source,
    host_id: 1,
    host: "h",
    kind: /** @type {const} */ ("container"),
    name,
  }));
  const lines = [
    { source: 1, at_ms: 0, text: "x" },
    { source: 0, text: "y" },
  ];
  assert.equal(asText(lines, places), "1970-01-01T00:00:00.000Z b x\na y\n");
  assert.equal(asText(lines.slice(1), places.slice(0, 1)), "y\n");
});
