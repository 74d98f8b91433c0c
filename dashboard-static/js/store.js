// What the page knows, as signals. Written by the stream and by answers, read by the views.

import { batch, computed, signal } from "@preact/signals";

/** @typedef {import("./types.js").Host} Host */
/** @typedef {import("./types.js").HostView} HostView */
/** @typedef {import("./types.js").HostEvent} HostEvent */
/** @typedef {import("./types.js").InventoryDocument} InventoryDocument */
/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Values} Values */

/** Events kept in memory for one host: what a screen of history and the marks on an hour's charts need. */
const EVENTS_KEPT = 500;

export const session = signal(
  /** @type {{ phase: "unknown" | "setup" | "anonymous" | "due" | "open" | "failed", name: string, error: string, may?: string[] }} */ ({
    phase: "unknown",
    name: "",
    error: "",
  }),
);
/** Whether the reader may act on hosts; the controller decides, the page only leaves out what would be refused. */
export const mayAct = computed(() => may("act"));
export const mayAudit = computed(() => may("audit"));
export const mayEnrol = computed(() => may("enrol"));
export const mayDestroy = computed(() => may("destroy"));

/** @param {string} what in the words of the API */
function may(what) {
  return session.value.may?.includes(what) ?? false;
}
/** null until the first answer. */
export const hosts = signal(/** @type {Host[] | null} */ (null));
export const host = signal(/** @type {HostView | null} */ (null));
/** The chosen host as the fleet lists it. */
export const chosenHost = computed(() => hosts.value?.find((entry) => entry.id === host.value?.id));
/** Newest first; null until the first answer. */
export const events = signal(/** @type {HostEvent[] | null} */ (null));
export const catalogue = signal(/** @type {import("./types.js").Catalogue | null} */ (null));
export const connection = signal(
  /** @type {{ state: "connecting" | "open" | "lost", sinceMs: number }} */ ({ state: "connecting", sinceMs: 0 }),
);
/** The controller's clock, once a second: ages tick by it. */
export const now = signal(Date.now());
/** How far what is stored is behind what is live, as the controller said last; null when it is not. */
export const historyBehindMs = signal(/** @type {number | null} */ (null));
/** For screen readers: what changed, in words. */
export const announcement = signal("");

let skewMs = 0;

/** @param {number} controllerMs the controller's clock as it was when it spoke */
export function setClock(controllerMs) {
  skewMs = controllerMs - Date.now();
}

export function tickClock() {
  now.value = Date.now() + skewMs;
}

/** @param {string} text */
export function announce(text) {
  announcement.value = text;
}

const WORST_FIRST = ["offline", "stale", "catching_up", "online"];

/** @param {Host} entry smaller is worse */
function order(entry) {
  const severity = entry.problems.some((problem) => problem.severity === "crit") ? 0 : entry.problems.length ? 1 : 2;
  return [severity, WORST_FIRST.indexOf(entry.state)];
}

/** Worst first, then by name: as the controller sorts them. @param {Host[]} list */
export function worstFirst(list) {
  return [...list].sort((a, b) => {
    const [left, right] = [order(a), order(b)];
    return (left[0] ?? 0) - (right[0] ?? 0) || (left[1] ?? 0) - (right[1] ?? 0) || a.name.localeCompare(b.name);
  });
}

/** Changes of hosts that come within this time are shown together: one drawing of the fleet, not one a host. */
const TOGETHER_MS = 50;
/** @type {Map<number, Host>} */
const changed = new Map();
let changeTimer = 0;

/** The whole fleet. @param {Host[]} list */
export function putFleet(list) {
  changed.clear();
  hosts.value = worstFirst(list);
}

/** @param {Host} entry */
export function putHost(entry) {
  changed.set(entry.id, entry);
  if (changeTimer === 0) changeTimer = setTimeout(putChanged, TOGETHER_MS);
}

function putChanged() {
  changeTimer = 0;
  for (const before of hosts.value ?? []) {
    const state = changed.get(before.id)?.state;
    if (state && before.state !== state) announce(`${before.name} is ${state.replaceAll("_", " ")}`);
  }
  hosts.value = worstFirst([...(hosts.value ?? []).filter((other) => !changed.has(other.id)), ...changed.values()]);
  changed.clear();
}

/** Forgets the chosen host and begins with another, or with none. @param {number | null} id */
export function chooseHost(id) {
  batch(() => {
    events.value = null;
    early = [];
    host.value = id !== null ? { id, status: "loading", documents: new Map(), rows: new Map(), tickMs: null } : null;
  });
}

/** @param {import("./types.js").HostDetail} detail */
export function putDetail(detail) {
  if (host.value?.id !== detail.id) return;
  host.value = {
    id: detail.id,
    status: "ready",
    documents: withDocuments(new Map(), detail.documents),
    rows: withRows(new Map(), detail.rows),
    tickMs: detail.tick_ms,
  };
}

/** @param {import("./types.js").Samples} samples */
export function putSamples(samples) {
  const view = host.value;
  if (view?.id !== samples.host_id) return;
  host.value = { ...view, rows: withRows(view.rows, samples.rows), tickMs: samples.tick_ms };
}

/** @param {number} hostId @param {InventoryDocument[]} documents */
export function putDocuments(hostId, documents) {
  const view = host.value;
  if (view?.id === hostId) host.value = { ...view, documents: withDocuments(view.documents, documents) };
}

/** @type {HostEvent[]} events that came before the history of events did */
let early = [];

/** @param {HostEvent} event */
export function putEvent(event) {
  if (host.value?.id !== event.host_id) return;
  if (event.severity === "crit") announce(`${event.subject}: ${event.fact.replaceAll("_", " ")}`);
  if (events.value === null) early.push(event);
  else events.value = merged([event], events.value);
}

/** The history of events of the chosen host. @param {HostEvent[]} list */
export function putEvents(list) {
  events.value = merged(early, list);
  early = [];
}

/** Newest first, each once. @param {HostEvent[]} some @param {HostEvent[]} others */
function merged(some, others) {
  const known = new Map([...some, ...others].map((event) => [event.id, event]));
  return [...known.values()].sort((a, b) => b.at_ms - a.at_ms).slice(0, EVENTS_KEPT);
}

/**
 * @param {Map<string, Map<string, InventoryDocument>>} before @param {InventoryDocument[]} documents
 * @returns {Map<string, Map<string, InventoryDocument>>}
 */
export function withDocuments(before, documents) {
  const after = new Map(before);
  for (const document of documents) {
    const kind = new Map(after.get(document.kind));
    if (document.body === null) kind.delete(document.key);
    else kind.set(document.key, document);
    after.set(document.kind, kind);
  }
  return after;
}

/**
 * A tick's rows replace those of the kinds that it has; a collector with a longer interval keeps its last.
 * @param {Map<string, Map<string, Values>>} before @param {Row[]} rows
 */
export function withRows(before, rows) {
  const after = new Map(before);
  const fresh = new Set();
  for (const row of rows) {
    const names = catalogue.peek()?.[row.kind];
    if (!names) continue;
    if (!fresh.has(row.kind)) after.set(row.kind, new Map());
    fresh.add(row.kind);
    after
      .get(row.kind)
      ?.set(row.key, Object.fromEntries(names.map((metric, at) => [metric.name, row.values[at] ?? null])));
  }
  return after;
}

/** Documents of a kind of the chosen host. @param {HostView} view @param {string} kind @returns {InventoryDocument[]} */
export function documentsOf(view, kind) {
  return [...(view.documents.get(kind)?.values() ?? [])];
}

/** Newest numbers of one entity; empty when there are none. @param {HostView} view @param {string} kind @param {string} key @returns {Values} */
export function valuesOf(view, kind, key) {
  return view.rows.get(kind)?.get(key) ?? {};
}
