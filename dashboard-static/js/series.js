// Numbers over time: columns on one time axis. Pure.

/**
 * @typedef {object} Table
 * @property {number[]} times seconds since the Unix epoch, rising
 * @property {Map<string, (number | null)[]>} columns by `columnName`; as long as `times`; null is a gap
 * @property {number} stepMs distance of neighbouring points
 * @property {import("./types.js").SeriesSource | null} source what the points were made of
 */

/** @param {string} key @param {string} metric */
export function columnName(key, metric) {
  return `${key}\u0000${metric}`;
}

/** Columns of the least and the greatest within each point of a column. @param {string} name */
export const lowName = (name) => `${name}\u0000low`;
/** @param {string} name */
export const highName = (name) => `${name}\u0000high`;

/** Whether any point of a table stands for a spread. @param {Table} table */
export function hasSpread(table) {
  return [...table.columns.keys()].some((name) => name.endsWith(lowName("")));
}

/** @returns {Table} */
export function emptyTable(stepMs = 0) {
  return { times: [], columns: new Map(), stepMs, source: null };
}

/**
 * The means of an answer, and the spread of those that have one; buckets at the end that hold nothing yet are left out.
 * @param {import("./types.js").SeriesAnswer} answer @returns {Table}
 */
export function tableOf(answer) {
  let length = answer.times_ms.length;
  while (length > 0 && answer.series.every((one) => one.avg[length - 1] == null)) length -= 1;
  const columns = new Map();
  for (const one of answer.series) {
    const name = columnName(one.key, one.metric);
    columns.set(name, one.avg.slice(0, length));
    if (!one.max.some((max, at) => max !== one.min[at])) continue;
    columns.set(lowName(name), one.min.slice(0, length));
    columns.set(highName(name), one.max.slice(0, length));
  }
  const times = answer.times_ms.slice(0, length).map((ms) => ms / 1000);
  return { times, columns, stepMs: answer.step_ms, source: answer.source };
}

/**
 * Adds a tick at the end, in place; an older one is ignored. What the tick lacks becomes null, and what is new gets a
 * past of nulls.
 * @param {Table} table @param {number} tickMs @param {Map<string, number | null>} values by column
 */
export function append(table, tickMs, values) {
  const time = tickMs / 1000;
  const last = table.times.at(-1);
  if (last !== undefined && time <= last) return;
  table.times.push(time);
  for (const [name, column] of table.columns) column.push(values.get(name) ?? null);
  for (const [name, value] of values) {
    if (table.columns.has(name)) continue;
    const column = new Array(table.times.length).fill(null);
    column[column.length - 1] = value;
    table.columns.set(name, column);
  }
}

/** Forgets what is older, in place. @param {Table} table @param {number} fromMs */
export function trim(table, fromMs) {
  let drop = 0;
  while (drop < table.times.length && /** @type {number} */ (table.times[drop]) * 1000 < fromMs) drop += 1;
  if (drop === 0) return;
  table.times.splice(0, drop);
  for (const column of table.columns.values()) column.splice(0, drop);
}

/**
 * The columns as a chart takes them: where neighbouring points are further apart than `gapMs`, a row of nulls goes
 * between, so that no line crosses a gap; single empty buckets nearer than that are left out of their column's line.
 * @param {Table} table @param {string[]} names @param {number} gapMs
 * @returns {[number[], ...(number | null | undefined)[][]]}
 */
export function plotted(table, names, gapMs) {
  /** @type {number[]} */
  const times = [];
  const picked = names.map((name) => table.columns.get(name) ?? []);
  /** @type {(number | null | undefined)[][]} */
  const columns = picked.map(() => []);
  table.times.forEach((time, at) => {
    const before = table.times[at - 1];
    if (before !== undefined && (time - before) * 1000 > gapMs) {
      times.push((before + time) / 2);
      for (const column of columns) column.push(null);
    }
    times.push(time);
    picked.forEach((column, index) => {
      columns[index]?.push(column[at] ?? null);
    });
  });
  for (const column of columns) bridge(times, column, gapMs / 1000);
  return [times, ...columns];
}

/** Marks short runs of nulls as undefined: a chart draws on across those. @param {number[]} times @param {(number | null | undefined)[]} column @param {number} gap seconds */
function bridge(times, column, gap) {
  let known = -1;
  column.forEach((value, at) => {
    if (value === null) return;
    const near =
      known >= 0 && at - known > 1 && /** @type {number} */ (times[at]) - /** @type {number} */ (times[known]) <= gap;
    if (near) column.fill(undefined, known + 1, at);
    known = at;
  });
}

/** Index of the last point at or before a time, or −1. @param {number[]} times rising @param {number} time */
export function indexAt(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (times[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
