// Which time the charts show: one range for all of them, from the address.
//
// It ends now ("live"), or is a span that somebody zoomed into, which freezes live updates.

import { computed } from "@preact/signals";
import { clock, dayClock } from "./format.js";
import { param, setParams } from "./route.js";
import { now } from "./store.js";

/** @typedef {{ fromMs: number, toMs: number, live: boolean, spanMs: number }} Span */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const RANGES = [
  { name: "15m", label: "15 min", spoken: "last 15 minutes", ms: 15 * MINUTE_MS },
  { name: "1h", label: "1 h", spoken: "last hour", ms: HOUR_MS },
  { name: "6h", label: "6 h", spoken: "last 6 hours", ms: 6 * HOUR_MS },
  { name: "24h", label: "24 h", spoken: "last 24 hours", ms: DAY_MS },
  { name: "7d", label: "7 d", spoken: "last 7 days", ms: 7 * DAY_MS },
  { name: "30d", label: "30 d", spoken: "last 30 days", ms: 30 * DAY_MS },
  { name: "90d", label: "90 d", spoken: "last 90 days", ms: 90 * DAY_MS },
  { name: "2y", label: "2 y", spoken: "last two years", ms: 730 * DAY_MS },
];
const USUAL_RANGE = 1;
/** Samples carry charts on up to this span; in a longer one a tick is less than a point, and is asked for anew. */
const TAIL_MOST_MS = 6 * HOUR_MS;
/** A longer span is asked for anew as often as it gets another point, but within these. */
const REFRESH_LEAST_MS = MINUTE_MS;
const REFRESH_MOST_MS = 15 * MINUTE_MS;

export const chosenRange = computed(
  () => RANGES.find((range) => range.name === param("range")) ?? /** @type {typeof RANGES[0]} */ (RANGES[USUAL_RANGE]),
);

/** The zoomed span, from the address; null when live. */
export const zoomed = computed(() => {
  const [fromMs, toMs] = [Number(param("from")), Number(param("to"))];
  return fromMs > 0 && toMs > fromMs ? { fromMs, toMs } : null;
});

/** @param {number} fromMs @param {number} toMs */
export function zoomTo(fromMs, toMs) {
  setParams({ from: String(Math.round(fromMs)), to: String(Math.round(toMs)) });
}

export function goLive() {
  setParams({ from: null, to: null });
}

/** The span that charts show at this moment. @returns {Span} */
export function currentSpan() {
  const zoom = zoomed.peek();
  if (zoom) return { ...zoom, live: false, spanMs: zoom.toMs - zoom.fromMs };
  const spanMs = chosenRange.peek().ms;
  const toMs = now.peek();
  return { fromMs: toMs - spanMs, toMs, live: true, spanMs };
}

/** A point's time, as long as the shown span needs it. @param {number} ms */
export function pointTime(ms) {
  return currentSpan().spanMs < DAY_MS ? clock(ms) : dayClock(ms);
}

/** Whether samples carry this span on as they arrive. @param {Span} span */
export const hasTail = (span) => span.live && span.spanMs <= TAIL_MOST_MS;

/** How often a span without a tail is asked for anew; null when nothing of it changes. @param {Span} span @param {number} stepMs */
export function refreshEveryMs(span, stepMs) {
  if (!span.live || hasTail(span)) return null;
  return Math.min(REFRESH_MOST_MS, Math.max(REFRESH_LEAST_MS, stepMs));
}
