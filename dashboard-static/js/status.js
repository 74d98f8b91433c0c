// States in words and tones. A status is always shape, word and colour; what is not known is a state of its own.

/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {{ tone: Tone, word: string }} Status */

/** @type {Record<string, Status>} */
const HOST = {
  online: { tone: "ok", word: "online" },
  stale: { tone: "stale", word: "stale" },
  offline: { tone: "crit", word: "offline" },
  catching_up: { tone: "warn", word: "catching up" },
};

/** @type {Record<string, Status>} */
const MOUNT = {
  ok: { tone: "ok", word: "ok" },
  slow: { tone: "warn", word: "slow" },
  hung: { tone: "crit", word: "hung" },
  stale: { tone: "crit", word: "stale handle" },
  error: { tone: "crit", word: "error" },
};

/** @type {Record<string, Status>} */
const CONTAINER = {
  created: { tone: "stale", word: "created" },
  running: { tone: "ok", word: "running" },
  paused: { tone: "stale", word: "paused" },
  restarting: { tone: "warn", word: "restarting" },
  removing: { tone: "stale", word: "removing" },
  exited: { tone: "stale", word: "exited" },
  dead: { tone: "crit", word: "dead" },
};

/** @type {Record<string, Status>} */
const GPU = {
  ok: { tone: "ok", word: "ok" },
  lost: { tone: "crit", word: "lost" },
  reset_required: { tone: "crit", word: "reset required" },
  error: { tone: "crit", word: "error" },
};

/** @type {Record<string, Status>} */
const COLLECTOR = {
  ok: { tone: "ok", word: "ok" },
  absent: { tone: "stale", word: "absent" },
  stuck: { tone: "crit", word: "stuck" },
  failing: { tone: "crit", word: "failing" },
};

/** @type {Record<string, Status>} */
const DRIVER = {
  ok: { tone: "ok", word: "ok" },
  library_missing: { tone: "stale", word: "absent" },
  driver_not_loaded: { tone: "crit", word: "driver not loaded" },
  unresponsive: { tone: "crit", word: "driver unresponsive" },
  version_mismatch: { tone: "crit", word: "version mismatch" },
  error: { tone: "crit", word: "error" },
};

const TABLES = { host: HOST, mount: MOUNT, gpu: GPU, collector: COLLECTOR, driver: DRIVER };

/** @param {keyof typeof TABLES} table @param {string | null | undefined} state @returns {Status} */
export function statusOf(table, state) {
  return TABLES[table][state ?? ""] ?? { tone: "stale", word: state ? state.replaceAll("_", " ") : "unknown" };
}

/** A crash loop outranks whatever the state reads at the instant. @param {any} body a ContainerDocument @returns {Status} */
export function containerStatus(body) {
  if (body.crash_loop) return { tone: "crit", word: "crash loop" };
  if (body.state === "running" && body.health === "unhealthy") return { tone: "warn", word: "unhealthy" };
  if (body.state === "running" && body.health === "starting") return { tone: "warn", word: "starting" };
  if (body.state === "running" && body.health === "healthy") return { tone: "ok", word: "healthy" };
  if (body.state === "exited") return exited(body);
  return CONTAINER[body.state] ?? { tone: "stale", word: "unknown" };
}

/** @param {any} body @returns {Status} */
function exited(body) {
  if (body.oom_killed) return { tone: "crit", word: "out of memory" };
  const code = body.exit_code;
  return { tone: code ? "warn" : "stale", word: code == null ? "exited" : `exited (${code})` };
}

/** @param {import("./types.js").Severity | string} severity @returns {Tone} */
export function severityTone(severity) {
  return severity === "crit" || severity === "warn" ? severity : "info";
}

/** @param {Tone} tone larger is worse */
export function rank(tone) {
  return { crit: 4, warn: 3, stale: 2, info: 1, ok: 0 }[tone];
}

const MISSED_TICKS = 3;
/** The agent's interval where none is stated. */
export const USUAL_INTERVAL_MS = 5000;
/** Slack for the way from the host's tick to this page, so that an age at the limit does not flicker. */
const SLACK_MS = 1500;

/** Whether data of that age is stale: past three intervals. @param {number | null | undefined} ageMs @param {number | null | undefined} intervalMs */
export function isStale(ageMs, intervalMs) {
  return ageMs == null || ageMs > MISSED_TICKS * (intervalMs ?? USUAL_INTERVAL_MS) + SLACK_MS;
}
