// History of the chosen host for its charts: loaded by range, then carried on by live samples.
//
// One range for all charts: it ends now ("live"), or is a span that somebody zoomed into, which freezes live updates.

import { computed, signal } from "@preact/signals";
import { explain, get } from "./api.js";
import { param, setParams } from "./route.js";
import { append, columnName, emptyTable, hasSpread, tableOf, trim } from "./series.js";
import { catalogue, host, now } from "./store.js";

/** @typedef {{ fromMs: number, toMs: number, live: boolean, spanMs: number }} Span */
/** @typedef {import("./series.js").Table} Table */

export const RANGES = [
  { name: "15m", label: "15 min", spoken: "last 15 minutes", ms: 15 * 60_000 },
  { name: "1h", label: "1 h", spoken: "last hour", ms: 60 * 60_000 },
  { name: "6h", label: "6 h", spoken: "last 6 hours", ms: 6 * 60 * 60_000 },
];
const USUAL_RANGE = 1;
/** Points of a line: about one for each pixel of a wide chart. */
const BUCKETS = 600;
/** Metrics that charts draw, by kind. */
const WANTED = /** @type {Record<string, string[]>} */ ({
  host: [
    "cpu_percent",
    "cpu_system_percent",
    "cpu_iowait_percent",
    "memory_used_bytes",
    "memory_cached_bytes",
    "swap_used_bytes",
    "psi_cpu_some_percent",
    "psi_memory_some_percent",
    "psi_io_some_percent",
  ],
  interface: ["receive_bytes_per_second", "transmit_bytes_per_second"],
  disk: ["read_bytes_per_second", "write_bytes_per_second"],
  gpu: ["utilization_percent", "memory_used_bytes", "temperature_celsius", "power_watts"],
});

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

export const historyState = signal(
  /** @type {{ state: "loading" | "ready" | "error", error: string }} */ ({ state: "loading", error: "" }),
);
/** Grows whenever a table changed; charts draw by it. */
export const version = signal(0);
let drawnMs = 0;

function changedTables() {
  drawnMs = now.peek();
  version.value += 1;
}

/** Charts move on at least so often, also when no sample comes: a gap must grow. */
const MOVE_MS = 5000;

/** To be called each second. */
export function moveOn() {
  if (!document.hidden && !zoomed.peek() && now.peek() - drawnMs > MOVE_MS) changedTables();
}

/** @type {Map<string, Table>} */
const tables = new Map();
let generation = 0;

/** @param {string} kind */
export function tableFor(kind) {
  return tables.get(kind) ?? emptyTable();
}

/** Whether charts draw more than means: a band from the least to the greatest. */
export const spreadShown = () => version.value >= 0 && [...tables.values()].some(hasSpread);

/** Loads the shown span of a host anew; a later call overtakes an earlier one. @param {number} hostId @param {string[]} kinds */
export async function loadHistory(hostId, kinds) {
  generation += 1;
  const mine = generation;
  const span = currentSpan();
  if (!tables.size) historyState.value = { state: "loading", error: "" };
  try {
    const answers = await Promise.all(kinds.map((kind) => get(seriesPath(hostId, kind, span))));
    if (mine !== generation) return;
    tables.clear();
    for (const [at, kind] of kinds.entries()) tables.set(kind, tableOf(answers[at]));
    historyState.value = { state: "ready", error: "" };
    changedTables();
  } catch (error) {
    if (mine === generation) historyState.value = { state: "error", error: explain(error) };
  }
}

export function forgetHistory() {
  generation += 1;
  tables.clear();
  historyState.value = { state: "loading", error: "" };
}

/** @param {number} hostId @param {string} kind @param {Span} span */
function seriesPath(hostId, kind, span) {
  const query = new URLSearchParams({
    kind,
    metric: (WANTED[kind] ?? []).join(","),
    from_ms: String(Math.round(span.fromMs)),
    to_ms: String(Math.round(span.toMs)),
    buckets: String(BUCKETS),
  });
  return `hosts/${hostId}/series?${query}`;
}

/** Kinds that charts draw and that this host has. */
export function chartedKinds() {
  const rows = host.peek()?.rows;
  return Object.keys(WANTED).filter((kind) => kind === "host" || (rows?.get(kind)?.size ?? 0) > 0);
}

/** Carries the tables on by a tick. @param {import("./types.js").Samples} samples */
export function appendSamples(samples) {
  const names = catalogue.peek();
  const span = currentSpan();
  if (!names || !span.live || historyState.peek().state !== "ready" || host.peek()?.id !== samples.host_id) return;
  for (const [kind, metrics] of Object.entries(WANTED)) {
    const rows = samples.rows.filter((row) => row.kind === kind);
    if (!rows.length) continue;
    const positions = metrics.map((metric) => names[kind]?.findIndex((known) => known.name === metric) ?? -1);
    const values = new Map();
    for (const row of rows) {
      for (const [at, metric] of metrics.entries()) {
        values.set(columnName(row.key, metric), row.values[positions[at] ?? -1] ?? null);
      }
    }
    const table = tables.get(kind) ?? emptyTable();
    tables.set(kind, table);
    append(table, samples.tick_ms, values);
    trim(table, span.fromMs - table.stepMs);
  }
  changedTables();
}
