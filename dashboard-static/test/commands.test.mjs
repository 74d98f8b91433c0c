import assert from "node:assert/strict";
import test from "node:test";
import { actionWord, commandStatus, verbsFor } from "../js/commands.js";

/** @param {any} body */
const names = (body) => verbsFor(body).map((verb) => verb.name);

test("only what makes sense in its state is offered", () => {
  const running = names({ state: "running", compose_project: null });
  assert.ok(running.includes("stop") && running.includes("pause"));
  assert.ok(!running.includes("start") && !running.includes("remove") && !running.includes("recreate"));
  assert.deepEqual(names({ state: "exited", compose_project: "web" }), [
    "restart",
    "start",
    "pull",
    "recreate",
    "rebuild",
    "remove",
  ]);
  assert.ok(names({ state: "paused", compose_project: null }).includes("unpause"));
});

test("green is for what was verified, and for nothing else", () => {
  const tone = (/** @type {string} */ outcome) => commandStatus({ state: "finished", outcome }).tone;
  assert.equal(tone("verified"), "ok");
  for (const outcome of [
    "unverified",
    "failed",
    "refused",
    "expired",
    "cancelled",
    "interrupted",
    "unknown",
    "of the future",
  ])
    assert.notEqual(tone(outcome), "ok");
  for (const state of ["queued", "sent", "running"])
    assert.notEqual(commandStatus({ state, outcome: null }).tone, "ok");
});

test("an action's word is what people say", () => {
  assert.equal(actionWord("container.restart"), "restart");
  assert.equal(actionWord("emergency_stop"), "emergency stop");
});
