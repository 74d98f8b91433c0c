import assert from "node:assert/strict";
import test from "node:test";
import { onlyHere } from "../js/add-host.js";
import { crashLoop, factText } from "../js/facts.js";
import { refusalText } from "../js/refusals.js";
import { plainLine } from "../js/ui.js";

test("terminal escapes and characters that hide or reorder text do not reach the page", () => {
  assert.equal(plainLine("\u001b[31mred\u001b[0m"), "red");
  assert.equal(plainLine("\u001b]0;title\u0007rest"), "rest");
  assert.equal(plainLine("a\u202egnp.exe"), "a�gnp.exe");
  assert.equal(plainLine("tab\tstays, <img> too"), "tab\tstays, <img> too");
});

test("facts are said in words", () => {
  const event = (/** @type {string} */ fact, /** @type {any} */ detail) =>
    factText(/** @type {any} */ ({ fact, detail }));
  assert.equal(event("container_died", { exit_code: 137, oom_killed: true }), "died, out of memory (exit code 137)");
  assert.equal(event("container_died", { exit_code: null, oom_killed: false }), "died with exit code unknown");
  assert.equal(event("mount_changed", { from: "ok", to: "hung", reason: "no answer" }), "ok → hung: no answer");
  assert.equal(event("something_new", null), "something new");
  assert.match(
    crashLoop({ deaths: 12, window_seconds: 600, last_exit_code: 1 }),
    /^12 deaths in 10.min, last exit code 1$/,
  );
  assert.equal(
    crashLoop({ deaths: 1, window_seconds: 300, last_exit_code: 3 }),
    "restarts again and again, last exit code 3",
  );
});

test("what was refused is said in words, with its count and the last time", () => {
  const told = (/** @type {string} */ reason, /** @type {number} */ rows, /** @type {number} */ batches) =>
    refusalText({ reason, rows, batches, last_ms: Date.now(), last_detail: "why \u001b[31mit was" });
  assert.match(told("time", 12, 3), /^12 samples refused for their time: why it was; last at /);
  assert.match(told("evicted", 0, 1), /^1 batch lost on the host: /);
  assert.match(told("of a newer controller", 2, 1), /^2 samples, documents or events refused: /);
});

test("a join command that leads nowhere from elsewhere is known", () => {
  const command = (/** @type {string} */ endpoint) =>
    `sudo ./fleetlight-agent enrol --token fljoin1-aa-bb-cc@${endpoint}`;
  assert.deepEqual(["127.0.0.1:7443", "localhost:7443", "[::1]:7443"].map(command).map(onlyHere), [true, true, true]);
  assert.deepEqual(["10.1.27.1:7443", "localhosts.example:1", "[fe80::1]:1"].map(command).map(onlyHere), [
    false,
    false,
    false,
  ]);
});
