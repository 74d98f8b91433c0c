import assert from "node:assert/strict";
import test from "node:test";
import { bandTop, runs } from "../js/chart-bands.js";
import { heatOf, heatRuns, wholePixels } from "../js/chart-heat.js";
import { thinned } from "../js/chart-marks.js";
import { append, columnName, hasSpread, highName, indexAt, lowName, plotted, tableOf, trim } from "../js/series.js";

const CPU = columnName("", "cpu_percent");

/** @param {number[]} timesMs @param {(number | null)[]} avg */
function answer(timesMs, avg) {
  const series = [{ key: "", metric: "cpu_percent", avg, min: avg, max: avg }];
  return { from_ms: 0, to_ms: 60_000, step_ms: 5000, source: /** @type {const} */ ("raw"), times_ms: timesMs, series };
}

test("buckets that hold nothing yet are left out at the end, not in the middle", () => {
  const table = tableOf(answer([0, 5000, 10_000, 15_000, 20_000], [1, null, 3, null, null]));
  assert.deepEqual(table.times, [0, 5, 10]);
  assert.deepEqual(table.columns.get(CPU), [1, null, 3]);
});

test("live samples carry a table on, and what is new gets a past of gaps", () => {
  const table = tableOf(answer([0, 5000], [1, 2]));
  append(table, 10_000, new Map([["new\u0000cpu_percent", 7]]));
  append(table, 10_000, new Map([[CPU, 99]]));
  append(table, 3000, new Map([[CPU, 99]]));
  assert.deepEqual(table.times, [0, 5, 10]);
  assert.deepEqual(table.columns.get(CPU), [1, 2, null]);
  assert.deepEqual(table.columns.get("new\u0000cpu_percent"), [null, null, 7]);
});

test("what is older than the span is forgotten in every column", () => {
  const table = tableOf(answer([0, 5000, 10_000], [1, 2, 3]));
  trim(table, 5000);
  assert.deepEqual(table.times, [5, 10]);
  assert.deepEqual(table.columns.get(CPU), [2, 3]);
});

test("a long silence is a gap even where no bucket says so", () => {
  const table = tableOf(answer([0, 5000, 60_000], [1, 2, 3]));
  const [times, column] = plotted(table, [CPU], 12_500);
  assert.deepEqual(times, [0, 5, 32.5, 60]);
  assert.deepEqual(column, [1, 2, null, 3]);
});

test("one late tick is no gap, a run of empty buckets is", () => {
  const times = [0, 5000, 10_000, 15_000, 20_000, 25_000, 30_000];
  const [, column] = plotted(tableOf(answer(times, [1, null, 3, null, null, null, 7])), [CPU], 12_500);
  assert.deepEqual(column, [1, undefined, 3, null, null, null, 7]);
});

test("a series that the table lacks is all gaps", () => {
  const [, column] = plotted(tableOf(answer([0, 5000], [1, 2])), ["none\u0000x"], 12_500);
  assert.deepEqual(column, [null, null]);
});

test("a heat strip holds a value until the next one, and leaves gaps", () => {
  assert.deepEqual(heatRuns([5, 5, undefined, 7, null, undefined, 5, null]), [
    { from: 0, to: 3, value: 5 },
    { from: 3, to: 4, value: 7 },
    { from: 6, to: 7, value: 5 },
  ]);
  assert.deepEqual(
    wholePixels([
      [0, 0, 9],
      [0, 3, 2],
      [3, 3, 1],
      [3, 4, 5],
      [7, 8, 6],
    ]),
    [
      [0, 1, 9],
      [1, 3, 2],
      [3, 4, 5],
      [7, 8, 6],
    ],
  );
  assert.ok(heatOf(0, 100) > 0, "zero is seen, a gap is not");
  assert.equal(heatOf(100, 100), 1);
  assert.equal(heatOf(300, 100), 1);
});

test("marks that would lie on each other are one, of the worst tone", () => {
  const mark = (/** @type {number} */ atMs, /** @type {"info" | "warn" | "crit"} */ tone) => ({ atMs, tone });
  const marks = [mark(250, "info"), mark(120, "warn"), mark(110, "crit"), mark(130, "info")];
  assert.deepEqual(thinned(marks, 100), [mark(110, "crit"), mark(250, "info")]);
});

test("the point at a time is the last one not after it", () => {
  assert.equal(indexAt([1, 2, 3], 0.5), -1);
  assert.equal(indexAt([1, 2, 3], 2), 1);
  assert.equal(indexAt([1, 2, 3], 9), 2);
});

test("a spread goes with its means, and only where there is one", () => {
  const spread = answer([0, 5000], [2, 3]);
  const [one] = spread.series;
  const other = { key: "", metric: "load1", avg: [1, 1], min: [1, 1], max: [1, 1] };
  const table = tableOf({ ...spread, series: [{ .../** @type {any} */ (one), min: [1, 3], max: [4, 3] }, other] });
  assert.deepEqual(table.columns.get(lowName(CPU)), [1, 3]);
  assert.deepEqual(table.columns.get(highName(CPU)), [4, 3]);
  assert.equal(table.columns.get(highName(columnName("", "load1"))), undefined);
  assert.deepEqual([hasSpread(table), hasSpread(tableOf(answer([0, 5000], [1, 2])))], [true, false]);
  append(table, 10_000, new Map([[CPU, 7]]));
  const [, low, high] = plotted(table, [lowName(CPU), highName(CPU)], 12_500);
  assert.deepEqual(runs(low ?? [], high ?? []), [[0, 1]]);
  assert.equal(bandTop([{ high: [] }, { high: high ?? [] }]), 4);
});

test("a band passes over what its line passes over, and ends at a gap", () => {
  const low = [1, undefined, 1, null, 1, 1, null, 1];
  assert.deepEqual(runs(low, low), [
    [0, 2],
    [4, 5],
  ]);
});
