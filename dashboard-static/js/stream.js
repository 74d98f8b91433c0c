// The one event stream: keeps it open, feeds the store, and knows when the controller has gone silent.

import { explain, get, Refusal, streamUrl } from "./api.js";
import {
  chooseHost,
  connection,
  historyBehindMs,
  host,
  now,
  putDetail,
  putDocuments,
  putEvent,
  putEvents,
  putFleet,
  putHost,
  putSamples,
  session,
  setClock,
  tickClock,
} from "./store.js";

/** Heartbeats come every 5 s; two missed ones and some slack mean that nobody is there. */
const SILENCE_MS = 12_000;
const RETRY_FIRST_MS = 1000;
const RETRY_MOST_MS = 15_000;
/** Of the host that is followed, at first. */
export const EVENTS_LOADED = 200;

/** @type {EventSource | null} */
let source = null;
let heardMs = 0;
let retryMs = RETRY_FIRST_MS;
let retryTimer = 0;
/** @type {number | null} */
let chosen = null;
/** @type {Set<(name: string, data: any) => void>} */
const listeners = new Set();

/** Calls `listener` with each event's name and data. @param {(name: string, data: any) => void} listener @returns {() => void} ends it */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Opens the stream, with the details of a host or of none. @param {number | null} hostId */
export function follow(hostId) {
  if (source && hostId === chosen) return;
  chosen = hostId;
  chooseHost(hostId);
  open();
  if (hostId !== null) loadEvents(hostId);
}

export function stopStream() {
  source?.close();
  source = null;
  clearTimeout(retryTimer);
}

function open() {
  stopStream();
  heardMs = Date.now();
  const opened = new EventSource(streamUrl(chosen));
  source = opened;
  for (const [name, handle] of Object.entries(HANDLERS)) {
    opened.addEventListener(name, (message) => {
      if (source !== opened) return;
      const data = JSON.parse(/** @type {MessageEvent<string>} */ (message).data);
      heard();
      handle(data);
      for (const listener of listeners) listener(name, data);
    });
  }
  opened.addEventListener("error", () => {
    if (source === opened && opened.readyState === EventSource.CLOSED) retry();
  });
}

/** @type {Record<string, (data: any) => void>} */
const HANDLERS = {
  fleet(data) {
    setClock(data.now_ms);
    tickClock();
    historyBehindMs.value = data.history_behind_ms ?? null;
    putFleet(data.hosts);
  },
  host: putHost,
  detail: putDetail,
  samples: putSamples,
  documents: (data) => putDocuments(data.host_id, data.documents),
  event: putEvent,
  heartbeat(data) {
    setClock(data.now_ms);
    historyBehindMs.value = data.history_behind_ms ?? null;
  },
};

function heard() {
  heardMs = Date.now();
  retryMs = RETRY_FIRST_MS;
  if (connection.value.state !== "open") connection.value = { state: "open", sinceMs: heardMs };
}

/** The browser retries a cut stream by itself; after a refusal it does not, and we look for the reason. */
async function retry() {
  stopStream();
  lost();
  try {
    if ((await get("session")).name === null) {
      session.value = { phase: "anonymous", name: "", error: "The session has ended. Log in again." };
      return;
    }
    if (chosen !== null) await get(`hosts/${chosen}`);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) leaveMissing();
  }
  retryTimer = setTimeout(open, retryMs);
  retryMs = Math.min(retryMs * 2, RETRY_MOST_MS);
}

/** The chosen host is not there: that is said, and the fleet is followed alone. */
function leaveMissing() {
  if (host.value) host.value = { ...host.value, status: "missing" };
  chosen = null;
  retryMs = RETRY_FIRST_MS;
}

function lost() {
  if (connection.value.state !== "lost") connection.value = { state: "lost", sinceMs: now.value };
}

/** Once a second: ages tick, and silence is noticed. */
export function startClock() {
  setInterval(() => {
    if (document.hidden) return;
    tickClock();
    watch();
  }, 1000);
  document.addEventListener("visibilitychange", tickClock);
}

function watch() {
  if (!source || Date.now() - heardMs < SILENCE_MS) return;
  lost();
  if (source.readyState !== EventSource.CONNECTING) open();
}

/** @param {number} hostId */
async function loadEvents(hostId) {
  try {
    const list = await get(`hosts/${hostId}/events?limit=${EVENTS_LOADED}`);
    if (host.value?.id === hostId) putEvents(list);
  } catch (error) {
    if (host.value?.id === hostId) putEvents([]);
    console.warn(`events of host ${hostId}: ${explain(error)}`);
  }
}
