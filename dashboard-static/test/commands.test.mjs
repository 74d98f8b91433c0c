import assert from "node:assert/strict";
import test from "node:test";
import { actionWord, commandStatus, foundLine, inStateFor, verbsFor } from "../js/commands.js";

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

test("a bulk takes what the controller would take", () => {
  const body = (/** @type {string} */ state) => ({ state, compose_project: null });
  for (const state of ["running", "restarting", "paused"]) assert.ok(inStateFor("restart", body(state)), state);
  for (const state of ["created", "exited", "dead", "removing"]) assert.ok(!inStateFor("stop", body(state)), state);
  assert.ok(inStateFor("start", body("exited")) && !inStateFor("start", body("running")));
  assert.ok(!inStateFor("recreate", body("running")), "it is of no project");
  assert.ok(inStateFor("recreate", { state: "exited", compose_project: "web" }));
});

test("one that dies again is told in a line: what was done, and what was found", () => {
  const observed = "restarted, then exited 1 after 3 s";
  const reason = "its last lines:\nno GPU";
  const command = { state: "finished", action: "container.restart", outcome: "unverified", waiting_for: null };
  assert.equal(commandStatus(command).word, "restarted, not verified");
  assert.equal(foundLine({ ...command, observed, reason }), "exited 1 after 3 s");
  assert.equal(commandStatus({ ...command, action: "runbook.run" }).word, "done, not verified");
  const refused = { ...command, outcome: "refused", observed: "nothing was done", reason: "[[deny]] number 1\nmore" };
  assert.equal(foundLine(refused), "[[deny]] number 1");
  assert.equal(
    foundLine({ ...command, state: "queued", outcome: null, observed, reason, waiting_for: "the host" }),
    "the host",
  );
});
