import assert from "node:assert/strict";
import test from "node:test";
import { lone, newest, niceTop, spread, timeTick } from "../js/chart-math.js";
import { canvasFont } from "../js/chart-tokens.js";

test("a scale ends at a round number above the data", () => {
  assert.equal(niceTop(72, "decimal"), 100);
  assert.equal(niceTop(680, "decimal"), 1000);
  assert.equal(niceTop(0.19, "decimal"), 0.2);
  assert.equal(niceTop(null, "decimal"), 1);
  assert.equal(niceTop(0, "binary"), 1);
  assert.equal(niceTop(700, "binary"), 1024);
  assert.equal(niceTop(1000 * 1024, "binary"), 1024 ** 2);
  assert.equal(niceTop(3 * 1024 ** 2, "binary"), 5 * 1024 ** 2);
});

test("a chart's font has whole pixels, which uPlot can multiply", () => {
  assert.equal(canvasFont("14px", "sans"), "11px sans");
  assert.equal(canvasFont("16px", "sans"), "12px sans");
});

test("labels stand apart, in the order of their lines, and inside", () => {
  const tops = spread([50, 51, 10, 99], 15, 100);
  const order = [...tops].sort((a, b) => a - b);
  for (let at = 1; at < order.length; at += 1) assert.ok(order[at] - order[at - 1] >= 15, String(order));
  assert.ok(Math.max(...tops) <= 85);
  assert.ok(tops[2] < tops[0] && tops[0] < tops[1] && tops[1] < tops[3]);
});

test("a tick says time, day or month, as far as its neighbours are apart", () => {
  const at = (/** @type {number[]} */ ...parts) => new Date(2026, ...parts).getTime() / 1000;
  assert.equal(timeTick(at(10, 21, 14, 3, 5), 15), "14:03:05");
  assert.equal(timeTick(at(10, 21, 14, 3), 300), "14:03");
  assert.equal(timeTick(at(10, 21), 300), "21 Nov", "where a day begins, in a day's chart too");
  assert.equal(timeTick(at(10, 21, 1), 2 * 86_400), "21 Nov", "also where the clock was changed");
  assert.equal(timeTick(at(10, 1), 28 * 86_400), "Nov 2026");
});

test("a point between gaps is found, since no line shows it", () => {
  assert.deepEqual(lone([5]), [0]);
  assert.deepEqual(lone([null, 5, null, 1, 2, null, 3, undefined, 4, null, 7]), [1, 10]);
});

test("the newest value skips gaps", () => {
  assert.equal(newest([1, 2, null, undefined]), 2);
  assert.equal(newest([null]), null);
});
