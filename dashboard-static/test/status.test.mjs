import assert from "node:assert/strict";
import test from "node:test";
import { containerStatus, isStale, rank, statusOf } from "../js/status.js";

test("a crash loop is never plainly running, whatever its state reads", () => {
  const crash_loop = { deaths: 5, window_seconds: 60, last_exit_code: 1, last_lines: [] };
  for (const state of ["running", "restarting", "exited", "created"]) {
    assert.deepEqual(containerStatus({ state, health: "healthy", crash_loop }), { tone: "crit", word: "crash loop" });
  }
});

test("health outranks running", () => {
  assert.equal(containerStatus({ state: "running", health: "unhealthy" }).tone, "warn");
  assert.equal(containerStatus({ state: "running", health: "starting" }).tone, "warn");
  assert.equal(containerStatus({ state: "running", health: null }).word, "running");
});

test("an end says how", () => {
  assert.equal(containerStatus({ state: "exited", exit_code: 0 }).tone, "stale");
  assert.equal(containerStatus({ state: "exited", exit_code: 137 }).word, "exited (137)");
  assert.equal(containerStatus({ state: "exited", exit_code: 137, oom_killed: true }).word, "out of memory");
});

test("states of a newer agent are shown as they are, as unknown when there is none", () => {
  assert.deepEqual(statusOf("mount", "half_open"), { tone: "stale", word: "half open" });
  assert.deepEqual(statusOf("gpu", null), { tone: "stale", word: "unknown" });
});

test("numbers are stale past three intervals", () => {
  assert.equal(isStale(15_000, 5000), false);
  assert.equal(isStale(17_000, 5000), true);
  assert.equal(isStale(5000, 1000), true);
  assert.equal(isStale(null, 5000), true);
});

test("critical is worst, ok is best", () => {
  assert.ok(rank("crit") > rank("warn") && rank("warn") > rank("stale") && rank("stale") > rank("ok"));
});
