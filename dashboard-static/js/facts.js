// Events in words.

import { commandStatus } from "./commands.js";
import { duration, moment } from "./format.js";

/** @typedef {import("./types.js").HostEvent} HostEvent */

/** @type {Record<string, (detail: any) => string>} */
const FACTS = {
  agent_started: (detail) => `agent ${detail.version ?? ""} started`,
  host_booted: (detail) => `booted at ${moment(detail.boot_time_ms)}`,
  container_created: () => "created",
  container_started: () => "started",
  container_died: died,
  container_removed: () => "removed",
  container_paused: () => "paused",
  container_unpaused: () => "resumed",
  container_health: (detail) => `health is now ${detail.health}`,
  crash_loop_began: (detail) => `crash loop: ${crashLoop(detail)}`,
  crash_loop_ended: () => "crash loop is over",
  xid: (detail) => `Xid ${detail.code}: ${detail.meaning}`,
  gpu_lost: (detail) => `lost: ${detail.reason}`,
  gpu_back: () => "back",
  mount_changed: changedState,
  collector_changed: changedState,
  command_finished: (detail) =>
    `${commandStatus({ state: "finished", outcome: detail.outcome }).word}: ${detail.observed || detail.reason || detail.asked}`,
};

/** @param {any} detail */
function died(detail) {
  const code = detail.exit_code == null ? "exit code unknown" : `exit code ${detail.exit_code}`;
  return detail.oom_killed ? `died, out of memory (${code})` : `died with ${code}`;
}

/** @param {any} detail */
function changedState(detail) {
  return `${detail.from} → ${detail.to}${detail.reason ? `: ${detail.reason}` : ""}`;
}

/** @param {any} loop a CrashLoop or the detail of crash_loop_began */
export function crashLoop(loop) {
  const code = loop.last_exit_code == null ? "exit code unknown" : `last exit code ${loop.last_exit_code}`;
  // Fewer make no loop: it began before the agent did.
  if (loop.deaths < 3) return `restarts again and again, ${code}`;
  return `${loop.deaths} deaths in ${duration(loop.window_seconds * 1000)}, ${code}`;
}

/** What happened, without its subject. @param {HostEvent} event */
export function factText(event) {
  return FACTS[event.fact]?.(event.detail ?? {}) ?? event.fact.replaceAll("_", " ");
}

/** Last log lines that the event carries. @param {HostEvent} event @returns {string[]} */
export function factLines(event) {
  return event.detail?.last_lines ?? [];
}
