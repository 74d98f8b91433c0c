// Calls to the controller. A refusal is a `Refusal` whose message says what to do.

const BASE = "/admin/api";
/** Longer than any answer of the controller takes; a hung connection must not leave a button waiting for ever. */
const TIMEOUT_MS = 20_000;

/** The controller's refusal, or its silence (status 0). */
export class Refusal extends Error {
  /** @param {number} status @param {any} problem body of application/problem+json */
  constructor(status, problem) {
    super(problem.detail || problem.title || `The controller answered ${status}.`);
    this.status = status;
    /** What mends it, for programs. */
    this.code = /** @type {string | null} */ (problem.code ?? null);
    this.requestId = /** @type {string | null} */ (problem.request_id ?? null);
  }
}

/** @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
async function call(method, path, body) {
  /** @type {RequestInit} */
  const init = { method, signal: AbortSignal.timeout(TIMEOUT_MS), headers: { Accept: "application/json" } };
  if (method !== "GET") {
    init.headers = { Accept: "application/json", "Content-Type": "application/json" };
    init.body = JSON.stringify(body ?? {});
  }
  let answer;
  try {
    answer = await fetch(`${BASE}/${path}`, init);
  } catch {
    throw new Refusal(0, { detail: "The controller does not answer. Is it running, and is the network up?" });
  }
  const text = await answer.text();
  const parsed = parse(text);
  if (!answer.ok) throw new Refusal(answer.status, parsed ?? { title: `The controller answered ${answer.status}.` });
  return parsed;
}

/** @param {string} text */
function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** @param {string} path */
export const get = (path) => call("GET", path);
/** @param {string} path @param {unknown} [body] */
export const post = (path, body) => call("POST", path, body);
/** @param {string} path */
export const remove = (path) => call("DELETE", path);
/** Address of the event stream. @param {number | null} hostId */
export const streamUrl = (hostId) => `${BASE}/stream${hostId === null ? "" : `?host=${hostId}`}`;

/** Address of a command's stream. @param {string} id */
export const commandStreamUrl = (id) => `${BASE}/commands/${encodeURIComponent(id)}/stream`;
/** Address of the logs' stream. @param {URLSearchParams} query */
export const logsStreamUrl = (query) => `${BASE}/logs/stream?${query}`;
/** Address of the audit log as a table. @param {URLSearchParams} query */
export const auditCsvUrl = (query) => `${BASE}/audit.csv?${query}`;

/** What went wrong, in words, with the request's id where there is one. @param {unknown} error */
export function explain(error) {
  if (!(error instanceof Error)) return String(error);
  const id = error instanceof Refusal && error.requestId ? ` (request ${error.requestId})` : "";
  return `${error.message}${id}`;
}
