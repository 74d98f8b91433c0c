import assert from "node:assert/strict";
import test from "node:test";
import { eventRuns } from "../js/event-runs.js";

/** @param {string} facts s and d: start and death of a, S and D of b; newest first */
function runs(facts) {
  const list = [...facts].map((letter, at) => ({
    id: String(at),
    key: letter === letter.toLowerCase() ? "a" : "b",
    fact: { s: "container_started", d: "container_died" }[letter.toLowerCase()] ?? "crash_loop_began",
  }));
  return eventRuns(/** @type {any} */ (list)).map((run) => `${run.events.length}+${run.more.length}`);
}

test("starts and deaths of one container fold after its newest death", () => {
  assert.deepEqual(runs("sdsdsd"), ["2+4"]);
  assert.deepEqual(runs("dsdsds"), ["1+5"]);
});

test("few, another container's, and other facts stand as they are", () => {
  assert.deepEqual(runs("sds"), ["3+0"]);
  assert.deepEqual(runs("dsdsDSx"), ["1+3", "2+0", "1+0"]);
  assert.deepEqual(runs("xxxx"), ["1+0", "1+0", "1+0", "1+0"]);
  assert.deepEqual(runs(""), []);
});
