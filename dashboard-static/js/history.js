// History of the chosen host for its charts: loaded by range, then carried on by live samples, or asked for anew.

import { signal } from "@preact/signals";
import { explain, get } from "./api.js";
import { currentSpan, hasTail, refreshEveryMs } from "./ranges.js";
import { append, columnName, emptyTable, hasSpread, tableOf, trim } from "./series.js";
import { catalogue, host, now } from "./store.js";

/** @typedef {import("./ranges.js").Span} Span */
/** @typedef {import("./series.js").Table} Table */

/** Points of a line: about one for each pixel of a wide chart, and such that seven days are whole quarters of an hour. */
const BUCKETS = 673;
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

export const historyState = signal(
  /** @type {{ state: "loading" | "ready" | "error", error: string }} */ ({ state: "loading", error: "" }),
);
/** Grows whenever a table changed; charts draw by it. */
export const version = signal(0);
/** Whether the shown span is another than what was loaded. */
export const overdue = signal(false);
let drawnMs = 0;
let loadedMs = 0;
/** @type {Span | null} */
let loaded = null;

function changedTables() {
  drawnMs = now.peek();
  version.value += 1;
}

/** Charts move on at least so often, also when no sample comes: a gap must grow. */
const MOVE_MS = 5000;
/** A long span moves on by less than a point of the screen until this share of it has passed. */
const MOVE_SHARE = 1 / 2000;

/** What could not be loaded is asked for again after this time. */
const RETRY_MS = 15_000;

/** To be called each second. @param {number} hostId */
export function moveOn(hostId) {
  const span = currentSpan();
  if (document.hidden) return;
  const failed = historyState.peek().state === "error";
  const refreshMs = failed ? RETRY_MS : refreshEveryMs(span, shownTable()?.stepMs ?? 0);
  if (refreshMs !== null && now.peek() - loadedMs > refreshMs) loadHistory(hostId, chartedKinds());
  else if (span.live && now.peek() - drawnMs > Math.max(MOVE_MS, span.spanMs * MOVE_SHARE)) changedTables();
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

/** A table that stands for all: they answer one question, from one source. */
function shownTable() {
  return tables.get("host") ?? tables.values().next().value;
}

/** What charts are drawn from, and the distance of their points; null before the first answer. */
export function shownSource() {
  const table = version.value >= 0 ? shownTable() : null;
  return table ? { source: table.source, stepMs: table.stepMs } : null;
}

/** Loads the shown span of a host anew; a later call overtakes an earlier one. @param {number} hostId @param {string[]} kinds */
export async function loadHistory(hostId, kinds) {
  generation += 1;
  const mine = generation;
  const span = currentSpan();
  loadedMs = now.peek();
  overdue.value = span.spanMs !== loaded?.spanMs || span.live !== loaded.live;
  if (!tables.size) historyState.value = { state: "loading", error: "" };
  try {
    const answers = await Promise.all(kinds.map((kind) => get(seriesPath(hostId, kind, span))));
    if (mine !== generation) return;
    tables.clear();
    for (const [at, kind] of kinds.entries()) tables.set(kind, tableOf(answers[at]));
    loaded = span;
    overdue.value = false;
    historyState.value = { state: "ready", error: "" };
    changedTables();
  } catch (error) {
    if (mine !== generation) return;
    overdue.value = false;
    historyState.value = { state: "error", error: explain(error) };
  }
}

export function forgetHistory() {
  generation += 1;
  tables.clear();
  loaded = null;
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
  if (!names || !hasTail(span) || historyState.peek().state !== "ready" || host.peek()?.id !== samples.host_id) return;
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
