// Numbers behind a chart: ends of scales, places of labels, words of ticks. Pure.

import { dayMonth, monthYear } from "./format.js";

const NICE_DECIMAL = [1, 2, 2.5, 5];

/** A round end of the scale at or above the largest value. @param {number | null} max @param {"binary" | "decimal"} steps */
export function niceTop(max, steps) {
  if (max == null || max <= 0) return 1;
  const base = steps === "binary" ? 1024 ** Math.max(0, Math.floor(Math.log(max) / Math.log(1024))) : 1;
  const scaled = (max * 1.05) / base;
  const decade = 10 ** Math.floor(Math.log10(scaled));
  const step = NICE_DECIMAL.find((nice) => nice * decade >= scaled) ?? 10;
  const top = step * decade;
  // A thousand of a binary unit is no round number; the next unit is.
  return (steps === "binary" && top >= 1000 ? 1024 : top) * base;
}

/** Moves tops apart to at least `size`, none past `end`; order by height is kept. @param {number[]} tops @param {number} size @param {number} end */
export function spread(tops, size, end) {
  const order = tops
    .map((_, at) => at)
    .sort((a, b) => /** @type {number} */ (tops[a]) - /** @type {number} */ (tops[b]));
  const placed = [...tops];
  let edge = Number.NEGATIVE_INFINITY;
  for (const at of order) {
    placed[at] = Math.max(/** @type {number} */ (placed[at]), edge);
    edge = /** @type {number} */ (placed[at]) + size;
  }
  edge = end;
  for (const at of order.reverse()) {
    placed[at] = Math.min(/** @type {number} */ (placed[at]), edge - size);
    edge = /** @type {number} */ (placed[at]);
  }
  return placed;
}

/** Points between gaps, through which no line goes; what is undefined is no gap. @param {(number | null | undefined)[]} column */
export function lone(column) {
  /** @type {number[]} */
  const found = [];
  let run = 0;
  let last = -1;
  const end = () => {
    if (run === 1) found.push(last);
    run = 0;
  };
  column.forEach((value, at) => {
    if (value === null) end();
    else if (value !== undefined) [run, last] = [run + 1, at];
  });
  end();
  return found;
}

/** The last value that is known. @param {(number | null | undefined)[]} column */
export function newest(column) {
  return column.findLast((value) => value != null) ?? null;
}

/** Seconds. */
const TICK_MINUTE = 60;
const TICK_DAY = 86_400;
/** The shortest month: ticks further apart stand at the beginnings of months. */
const TICK_MONTH = 28 * TICK_DAY;

/** Time of day, the date where a day begins, the month where a tick stands for one. @param {number} time seconds @param {number} step seconds between ticks */
export function timeTick(time, step) {
  const date = new Date(time * 1000);
  if (step >= TICK_MONTH) return monthYear(date);
  if (step >= TICK_DAY || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0))
    return dayMonth(date);
  const parts = [date.getHours(), date.getMinutes(), ...(step < TICK_MINUTE ? [date.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
