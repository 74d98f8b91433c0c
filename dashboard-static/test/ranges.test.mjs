import assert from "node:assert/strict";
import test from "node:test";
import { chosenRange, currentSpan, hasTail, pointTime, RANGES, refreshEveryMs, zoomed } from "../js/ranges.js";
import { parseRoute, route } from "../js/route.js";

/** @param {string} hash */
const at = (hash) => {
  route.value = parseRoute(hash);
};
/** @param {string} name */
const spanOf = (name) => {
  at(`#/host/1?range=${name}`);
  return currentSpan();
};

test("the address names the range, and an unknown one is the usual hour", () => {
  for (const range of RANGES) assert.equal(spanOf(range.name).spanMs, range.ms);
  assert.equal(spanOf("99y").spanMs, 3_600_000);
  assert.equal(chosenRange.value.name, "1h");
});

test("a zoom is frozen, whatever its range", () => {
  at("#/host/1?range=90d&from=1000&to=5000");
  assert.deepEqual(currentSpan(), { fromMs: 1000, toMs: 5000, live: false, spanMs: 4000 });
  assert.equal(refreshEveryMs(currentSpan(), 60_000), null);
  at("#/host/1?from=5000&to=1000");
  assert.equal(zoomed.value, null);
});

test("samples carry on what is drawn from samples; the rest is asked for anew, neither often nor never", () => {
  const tails = RANGES.filter((range) => hasTail(spanOf(range.name))).map((range) => range.name);
  assert.deepEqual(tails, ["15m", "1h", "6h"]);
  assert.equal(refreshEveryMs(spanOf("6h"), 35_000), null);
  assert.equal(refreshEveryMs(spanOf("24h"), 30_000), 60_000);
  assert.equal(refreshEveryMs(spanOf("24h"), 180_000), 180_000);
  assert.equal(refreshEveryMs(spanOf("2y"), 94_500_000), 900_000);
});

test("a point of a long span says its day", () => {
  const ms = new Date(2026, 10, 21, 14, 3, 5).getTime();
  spanOf("6h");
  assert.equal(pointTime(ms), "14:03:05");
  spanOf("24h");
  assert.equal(pointTime(ms), "2026-11-21 14:03");
});
